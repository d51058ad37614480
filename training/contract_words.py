"""The mistakes in a contract in words, each with its remedy."""

from __future__ import annotations

import difflib
import json
from typing import Any, Final, get_args

from pydantic import BaseModel

from app.contract import Contract
from app.feature import Constant, Feature
from training.contract_yaml import Path


def unknown(path: Path) -> str:
    """What is wrong with a key that a contract does not have."""
    similar = close(path)
    hint = f"did you mean {similar[0]}?" if similar else f"known are {', '.join(_model(path[:-1]).model_fields)}"
    return f"unknown key; {hint}"


def close(path: Path) -> list[str]:
    """The known key that is most like an unknown one, if any is."""
    return difflib.get_close_matches(str(path[-1]), tuple(_model(path[:-1]).model_fields), 1)


def _model(path: Path) -> type[BaseModel]:
    """The class of the part of a contract that a path leads to."""
    match path:
        case ():
            return Contract
        case ("features", _, "blank"):
            return Constant
        case ("features", _):
            return Feature
    annotation = Contract.model_fields[str(path[0])].annotation
    # A part that may be absent is a union with None.
    annotation = next((kind for kind in get_args(annotation) if kind is not type(None)), annotation)
    assert isinstance(annotation, type), path  # noqa: S101 - only a part with keys of its own has unknown ones
    return annotation


_WORDS: Final = {
    "string_type": "a text",
    "bool_type": "true or false",
    "float_type": "a number",
    "tuple_type": "a list: [a, b]",
    "model_type": "keys with values",
    "dict_type": "keys with values",
}


def wrong_value(value: Any, detail: Any, path: Path, text: str | None) -> str:
    """What is wrong with a value, in words with the remedy.

    Args:
        value: the whole document.
        detail: the error as pydantic describes it.
        path: of the value in the document.
        text: the value as it is written, if that is not a text.
    """
    for part in path:
        value = value[part]
    if "blank" in detail["loc"][:3]:
        return _wrong_blank(value, detail, path)
    kind = detail["type"]
    if kind == "string_type" and not isinstance(value, dict | list):
        return _unquoted(value, text or json.dumps(value))
    if kind == "string_pattern_mismatch":
        return f"{value!r} is not allowed: {_pattern(detail['ctx']['pattern'])}"
    if kind == "literal_error" or "spellings" in path:
        expected = detail["ctx"]["expected"] if kind == "literal_error" else "a text, a number, true or false"
        return f"{_brief(value)} is not allowed; expected {expected}"
    if kind in _WORDS:
        return f"{_brief(value)} is not {_WORDS[kind]}"
    return str(detail["ctx"]["error"]) if kind == "value_error" else f"{_brief(value)}: {_lowered(detail['msg'])}"


def _unquoted(value: Any, text: str) -> str:
    """The remedy for a text that YAML reads as something else."""
    reading = "no value" if value is None else "true or false" if isinstance(value, bool) else f"the number {value:g}"
    return f"{text} is read as {reading}, and a text is expected: quote it, '{text}'"


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _wrong_blank(value: Any, detail: Any, path: Path) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if path[-1] == "constant":
        return f"{_brief(value)} is not a text, a number, true or false"
    return f"{_brief(value)} is not a rule: write {{constant: VALUE}}, {{expression: FORMULA}} or median"


def _pattern(pattern: str) -> str:
    if pattern.startswith("^[a-z][a-z0-9_]"):
        return (
            "a name has lower-case letters, digits and underscores, begins with a letter, "
            "and is at most 63 characters long"
        )
    if pattern.startswith("^[a-z][a-z0-9-]"):
        return (
            "a contract's name has lower-case letters, digits and dashes, begins with a letter, "
            "and is at most 63 characters long"
        )
    if "\\p{L}" in pattern:
        return "symbols are what a key may have besides letters and digits, without quotes and backslashes"
    return "a text here is not empty and has no quotes, backslashes or control characters"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - long enough to be recognised
