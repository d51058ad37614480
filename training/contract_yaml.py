"""Reads YAML 1.2 for contracts: plain values with the line of each, and no surprises.

PyYAML's YAML 1.1 makes ``[No, Yes]`` into false and true, and every reader makes ``0012`` into 12. Here a number is one
only in the spelling of JSON; whatever else looks like a number or a date has to be put in quotes. Anchors, aliases and
tags are refused, and keys that occur twice are reported with both lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_BYTES: Final = 512 * 1024
MAX_DEPTH: Final = 20
"""A contract is five deep, one of ODCS thirteen; deeper nesting costs time that grows with its square."""

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes that lead to a value."""

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_TAG: Final = "tag:yaml.org,2002:"
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}
_KINDS: Final = {"int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date"}


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: its line, the dotted path of what is wrong, and what is wrong with the remedy."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return where + (f"{self.path}: " if self.path else "") + self.message


@dataclass(frozen=True)
class Document:
    """A document of plain values; ``lines`` and ``texts`` have the line and the written text of each value by path."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest value around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Bounded(Composer):
    """Composes nodes, and stops at a document that is too deep or refers to itself."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise _Refused(event, f"anchors and aliases (&{event.anchor}, *{event.anchor}) are not read: write it out")
        if str(getattr(event, "ctag", None) or "") not in {"", "!"}:
            raise _Refused(event, f"the tag {event.ctag} is not read: leave it out")
        if self.depth == MAX_DEPTH:
            raise _Refused(event, f"nested more than {MAX_DEPTH} deep")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Refused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, event: Any, message: str) -> None:
        super().__init__(message)
        self.line: int = event.start_mark.line + 1


def parse(text: str) -> Document:
    """Read one document; whatever is wrong with it as YAML is in its problems."""
    reader = YAML(typ="rt", pure=True)
    reader.Composer = _Bounded
    try:
        node = reader.compose(text)
    except _Refused as error:
        return Document(None, problems=(Problem(error.line, "", str(error)),))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Document(None, problems=(Problem(mark.line + 1 if mark else 1, "", f"not YAML: {error.problem}"),))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return Document(None, problems=(Problem(line, "", f"not YAML: {error.reason}: remove that character"),))
    except YAMLError as error:
        return Document(None, problems=(Problem(1, "", f"not YAML: {error}"),))
    if node is None:
        return Document(None, problems=(Problem(1, "", "the file is empty"),))
    builder = _Builder()
    value = builder.value(node, ())
    return Document(value, builder.lines, builder.texts, tuple(builder.problems))


class _Builder:
    """Turns nodes into plain values."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.texts: dict[Path, str] = {}
        self.problems: list[Problem] = []

    def value(self, node: Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return {key: self.value(child, (*path, key)) for key, child in self._items(node, path)}
        if isinstance(node, SequenceNode):
            return [self.value(child, (*path, at)) for at, child in enumerate(node.value)]
        assert isinstance(node, ScalarNode), node  # noqa: S101 - there is no fourth kind
        return self._scalar(node, path)

    def _items(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        seen: dict[str, int] = {}
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._add(line, path, "a key must be a text")
                continue
            key = _whole(key_node.value)
            if key_node.style is None and key_node.tag != f"{_TAG}str":
                self._add(line, (*path, key), f"a key must be a text: quote it, '{key}'")
            if key in seen:
                self._add(line, (*path, key), f"stands twice, in lines {seen[key]} and {line}: remove one")
                continue
            seen[key] = line
            self.lines[(*path, key)] = line
            yield key, child

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        text, kind = _whole(node.value), str(node.tag).removeprefix(_TAG)
        if node.style is not None or kind == "str":
            if not _encodable(text):
                message = f"{text!r} contains an incomplete character (a lone surrogate): remove it"
                self._add(node.start_mark.line + 1, path, message)
                return "?"
            return text
        self.texts[path] = text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if kind in {"int", "float"} and _NUMBER.fullmatch(text):
            return json.loads(text, parse_int=_integer)
        reading = f"other programs read it as {_KINDS[kind]}" if kind in _KINDS else "it has a meaning in YAML"
        remedy = " A number is written like 12, -0.5 or 1e6." if kind in {"int", "float"} else ""
        self._add(
            node.start_mark.line + 1,
            path,
            f"{text} is ambiguous ({reading}): quote it, '{text}', if it is a text.{remedy}",
        )
        return text

    def _add(self, line: int, path: Path, message: str) -> None:
        self.problems.append(Problem(line, dotted(path), message))


def dotted(path: Path) -> str:
    """A path as people write it: ``features[3].minimum``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _integer(digits: str) -> float:
    # Python refuses to read more than 4,300 digits; no bound is that large, and the check of bounds names this one.
    return int(digits) if len(digits) < 400 else float(digits)  # noqa: PLR2004


def _whole(text: str) -> str:
    """Join pairs of escapes such as JSON's for one character beyond 16 bits."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _encodable(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)
