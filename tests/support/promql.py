"""The series and labels that a PromQL expression names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

_WORDS: Final = {
    "and", "bool", "by", "group_left", "group_right", "ignoring", "inf", "nan", "offset", "on", "or", "unless",
    "without",
}  # fmt: skip
_LABELS: Final = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_NAME: Final = re.compile(r"(?<![\w$])([a-zA-Z_:][\w:]*)\b(?!\s*\()")
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_WORD: Final = re.compile(r"\w+")


def metrics(expression: str) -> set[str]:
    """Names of series: what is left when strings, label lists, matchers, ranges and functions are taken away."""
    text = _STRING.sub('""', expression)
    for pattern in (_LABELS, re.compile(r"\{[^}]*\}"), re.compile(r"\[[^\]]*\]")):
        text = pattern.sub(" ", text)
    return {name for name in _NAME.findall(text) if name.lower() not in _WORDS}


def labels(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """Labels that an expression asks for: in the matchers of each series, and those that it groups or joins by."""
    text = _STRING.sub('""', expression)
    matched: dict[str, set[str]] = {}
    for name, matchers in _SELECTOR.findall(text):
        matched.setdefault(name, set()).update(_MATCHER.findall(matchers))
    return matched, {label for found in _LABELS.finditer(text) for label in _WORD.findall(found[0])[1:]}


def unknown(expression: str, there: Mapping[str, AbstractSet[str]]) -> list[str]:
    """What an expression names and ``there``, series with their labels, has not."""
    named = metrics(expression)
    missing = sorted(named - there.keys())
    matched, grouped = labels(expression)
    for name in sorted(named & there.keys()):
        missing += [f"{name}{{{label}}}" for label in sorted(matched.get(name, set()) - there[name])]
    anywhere = {label for name in named for label in there.get(name, ())}
    return missing + [f"by {label}" for label in sorted(grouped - anywhere)]
