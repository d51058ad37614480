"""Writes a contract as YAML for people: in the order of its keys, each with the comments that belong to it."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from app.contract import Contract
from app.feature import MAX_EXACT
from training.contract_yaml import Path

EDITORS: Final = "yaml-language-server: $schema=contract.schema.json"
"""The first comment of a file, by which editors find its schema."""
_WIDTH: Final = 110
_PLAIN: Final = re.compile(r"[A-Za-zÀ-ž_][\wÀ-ž .()/%+€$-]*(?<! )")
_OTHER_MEANING: Final = re.compile(r"true|false|null|yes|no|on|off|y|n|inf|nan|e[0-9]*", re.IGNORECASE)

Comments = Mapping[Path, Sequence[str]]


def yaml_text(contract: Contract, *, head: Sequence[str] = (), comments: Comments | None = None) -> str:
    """The YAML of a contract.

    Args:
        contract: it is read back as an equal one.
        head: sentences at the top of the file.
        comments: sentences above the key or item at a path.
    """
    document = contract.model_dump(mode="json", exclude_defaults=True)
    lines = [*_comment(head, 0)]
    for key, value in document.items():
        spaced = isinstance(value, dict) or key == "features" or (key,) in (comments or {})
        lines += [""] if spaced and lines else []
        lines += _entry(key, value, (key,), comments or {})
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, path: Path, comments: Comments) -> Iterator[str]:
    yield from _comment(comments.get(path, ()), 0)
    if key == "features":
        yield "features:"
        for at, feature in enumerate(value):
            yield from _comment(comments.get((key, at), ()), 2)
            for number, (name, part) in enumerate(feature.items()):
                yield f"  {'- ' if number == 0 else '  '}{name}: {flow(part)}"
    elif isinstance(value, dict):
        yield f"{key}:"
        for name, part in value.items():
            yield from _comment(comments.get((*path, name), ()), 2)
            yield f"  {_text(name)}: {flow(part, exact=key == 'example')}"
    else:
        yield f"{key}: {flow(value)}"


def _comment(sentences: Sequence[str], indent: int) -> Iterator[str]:
    prefix = " " * indent + "# "
    for sentence in sentences:
        yield from textwrap.wrap(
            sentence, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False
        )


def flow(value: Any, *, exact: bool = False) -> str:
    """A value on one line; 5.0 stays apart from 5 only if it is exact, as in an example."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(str(k))}: {flow(v, exact=exact)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v, exact=exact) for v in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT and not exact:
        return str(int(value))
    return json.dumps(value)


def _text(text: str) -> str:
    """A text, in quotes where YAML 1.2, or a reader of YAML 1.1, would take it for something else."""
    if _PLAIN.fullmatch(text) and not _OTHER_MEANING.fullmatch(text):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)
