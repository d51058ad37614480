"""Reads a contract that people wrote: every mistake in it at once, each with its line and a remedy."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from app.contract import Contract
from app.feature import Misfits
from training import contract_words, contract_yaml
from training.config import CostModel
from training.contract_yaml import Document, Problem, dotted

_STAND_IN: Final[Mapping[str, Any]] = {"type": "number", "minimum": 0, "maximum": 1, "blank": "median"}
"""Takes the place of a feature that is wrong, so that the rest of the contract can be checked too."""
_BRANCHES: Final = ("Constant", "Formula")
"""Rules for a blank, by which pydantic says of which one an error is."""
_NAMELESS: Final = "stand_in"
_ROUNDS: Final = 3
_DEFAULTS: Final = {"contract": 1, "name": "unnamed", "example": {}}


class ContractError(Exception):
    """A contract that cannot be used; the message lists everything that is wrong with it, with the lines."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(source, problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.source}: {self.problems[0]}"
        return "\n".join([f"{self.source}: {len(self.problems)} problems", *(f"  {p}" for p in self.problems)])

    def as_dict(self) -> dict[str, Any]:
        """The same content for a program that reads JSON."""
        return {
            "source": self.source,
            "problems": [{"line": p.line, "path": p.path, "message": p.message} for p in self.problems],
        }


def read(path: Path) -> Contract:
    """Read and check a contract: YAML, or JSON such as the canonical form.

    Raises:
        ContractError: the file cannot be read, or does not fit.
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a file of at most :data:`contract_yaml.MAX_BYTES` bytes of UTF-8.

    Raises:
        ContractError: it is missing, too large, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(contract_yaml.MAX_BYTES + 1)
    except OSError as error:
        raise whole_file(str(path), f"it cannot be read ({error.strerror})") from error
    if len(content) > contract_yaml.MAX_BYTES:
        largest = contract_yaml.MAX_BYTES // 1024
        raise whole_file(str(path), f"it is larger than {largest} KiB, the most that a contract may have")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise ContractError(str(path), (Problem(line, "", message),)) from error


def parse(text: str, source: str) -> Contract:
    """Check the text of a contract.

    Args:
        text: YAML or JSON.
        source: what messages call it.

    Raises:
        ContractError: it does not fit.
    """
    document = contract_yaml.parse(text)
    contract = None if document.problems else _valid(document)
    if contract is None:
        raise ContractError(source, _problems(document))
    try:
        CostModel.of(contract.cost)
    except ValidationError as error:
        why = str(error.errors()[0]["ctx"]["error"])
        raise ContractError(source, (Problem(document.line(("cost",)), "cost", why),)) from None
    return contract


def whole_file(source: str, message: str) -> ContractError:
    """The error for a file that is wrong as a whole, not in one line."""
    return ContractError(source, (Problem(0, "", message),))


def _valid(document: Document) -> Contract | None:
    try:
        return Contract.model_validate_json(json.dumps(document.value))
    except ValidationError:
        return None


def _problems(document: Document) -> tuple[Problem, ...]:
    """Everything that is wrong with a document that is no contract: as YAML, and by the rules of a contract."""
    problems = [*document.problems]
    if isinstance(document.value, dict):
        ambiguous = {p.path for p in problems}
        problems += [p for p in _misfits(document) if p.path not in ambiguous]
    elif not problems:
        problems.append(Problem(1, "", "it is not a contract: expected keys such as contract, name and features"))
    assert problems, document.value  # noqa: S101 - whatever is refused has a problem
    return tuple(sorted(set(problems)))


def _misfits(document: Document) -> Iterator[Problem]:
    """Everything that is wrong: after each round what was wrong is replaced, so that checks of the whole run too."""
    value = copy.deepcopy(document.value)
    replaced: set[str] = set()
    for _ in range(_ROUNDS):
        try:
            Contract.model_validate_json(json.dumps(value))
        except ValidationError as error:
            details = error.errors(include_url=False)
        else:
            return
        repairs = []
        for detail in details:
            path = _existing(value, detail["loc"])
            if _follows(value, detail, path):
                continue
            for problem, blamed in _explained(document, value, detail, path):
                if not any(_mentions(problem, name) for name in replaced):
                    yield problem
                repairs.append(blamed)
        # Unknown keys first: their place may be gone afterwards.
        for path, kind in sorted(repairs, key=lambda repair: repair[1] != "unknown"):
            replaced |= _repair(value, path, kind)


def _follows(value: Any, detail: Any, path: contract_yaml.Path) -> bool:
    """Whether an error only follows from another: of a list whose items are wrong, or of a rule that is not the one."""
    if detail["type"] == "too_short" and path == ("features",):
        return bool(value["features"])
    if path[2:] and path[2] == "blank" and isinstance(rule := value["features"][path[1]]["blank"], dict):
        branch = detail["loc"][3:4]
        chosen = {"expression": "Formula", "constant": "Constant"}.get(next(iter(rule), ""))
        return chosen is not None and branch != (chosen,)
    return False


def _mentions(problem: Problem, name: str) -> bool:
    return (
        name in re.split(r"[.\[]", problem.path)
        or repr(name) in problem.message
        or problem.message.startswith((f"{name} is ", f"{name}: "))
    )


def _existing(value: Any, loc: tuple[int | str, ...]) -> contract_yaml.Path:
    """The part of a location that is in the document: the rest is names of pydantic's own."""
    path: list[int | str] = []
    for part in loc:
        if part in _BRANCHES:
            continue
        inside = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if not inside:
            break
        value = value[part]
        path.append(part)
    return tuple(path)


_Repair = tuple[contract_yaml.Path, str]


def _explained(
    document: Document, value: Any, detail: Any, path: contract_yaml.Path
) -> Iterator[tuple[Problem, _Repair]]:
    """The problems of one error of pydantic, each with what to repair for the next round."""
    kind, loc = detail["type"], detail["loc"]
    line = document.line(path)
    if kind == "extra_forbidden" and path == loc:
        yield Problem(line, dotted(path), contract_words.unknown(path)), (path, "unknown")
    elif kind == "missing" and "blank" not in path:
        yield Problem(line, dotted(path), f"{loc[-1]} is missing"), (path, f"missing:{loc[-1]}")
    elif kind == "value_error" and isinstance(cause := detail["ctx"]["error"], Misfits):
        for message in cause.problems:
            where = _subject(document, message, path)
            yield Problem(document.line(where), dotted(where), _unprefixed(message, where)), (path, "whole")
    else:
        yield (
            Problem(line, dotted(path), contract_words.wrong_value(value, detail, path, document.texts.get(path))),
            (path, "value"),
        )


def _subject(document: Document, message: str, path: contract_yaml.Path) -> contract_yaml.Path:
    """The key that a check of the whole contract names first, such as ``slices`` or a feature's name."""
    head = message.partition(":")[0]
    if path:
        return path
    if column := re.fullmatch(r"column '(.*)' stands for two things", message):
        return _last(document.value, column[1])
    if head in document.value:
        for at, item in enumerate(_items(document.value[head])):
            if f"{item!r} is no feature" in message:
                return (head, at)
        name = re.match(r"example: '?([a-z_0-9]+)'? ", message)
        return (head, name[1]) if name and (head, name[1]) in document.lines else (head,)
    features = document.value.get("features", [])
    for at, feature in enumerate(features if isinstance(features, list) else []):
        if isinstance(feature, dict) and feature.get("name") == head:
            return ("features", at)
    return ()


def _last(value: Any, text: str, path: contract_yaml.Path = ()) -> contract_yaml.Path:
    """The last place of a text outside of the example; the document itself if there is none."""
    if value == text:
        return path
    inner = value.items() if isinstance(value, dict) else enumerate(_items(value))
    places = [_last(child, text, (*path, key)) for key, child in inner if (*path, key) != ("example",)]
    return next((place for place in reversed(places) if place), ())


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _unprefixed(message: str, where: contract_yaml.Path) -> str:
    head, colon, rest = message.partition(": ")
    return rest if colon and where and head == where[0] else message


def _repair(value: Any, path: contract_yaml.Path, kind: str) -> set[str]:
    """Take what is wrong out of the document; returns the names about which nothing more can be said."""
    if kind == "unknown":
        _rename(value, path)
        return set()
    if len(path) >= 2 and path[0] == "features":  # noqa: PLR2004 - a feature or something in it
        return _stand_in(value["features"], path[1])
    if len(path) == 2 and isinstance(value[path[0]], list):  # noqa: PLR2004 - an item of a list
        value[path[0]][path[1]] = _NAMELESS
        return {_NAMELESS}
    name = str(path[0]) if path else kind.removeprefix("missing:")
    if not path and name == kind:  # a check of the whole contract: it was the last one
        return set()
    value.pop(name, None)
    if name in _DEFAULTS:
        value[name] = _DEFAULTS[name]
    return {name}


def _rename(value: Any, path: contract_yaml.Path) -> None:
    """Give an unknown key the known name that was probably meant, or drop it."""
    for part in path[:-1]:
        value = value[part]
    unknown = value.pop(path[-1])
    close = contract_words.close(path)
    if close and close[0] not in value:
        value[close[0]] = unknown


def _stand_in(features: list[Any], at: Any) -> set[str]:
    feature = features[at]
    name = feature.get("name") if isinstance(feature, dict) else None
    usable = isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name)
    features[at] = {"name": name if usable else f"stand_in_{at}", **_STAND_IN}
    return {str(features[at]["name"])}
