"""The metrics that a PromQL expression names."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = {
    "and", "bool", "by", "group_left", "group_right", "ignoring", "inf", "nan", "offset", "on", "or", "unless",
    "without",
}  # fmt: skip
_LABELS: Final = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_NAME: Final = re.compile(r"(?<![\w$])([a-zA-Z_:][\w:]*)\b(?!\s*\()")


def metrics(expression: str) -> set[str]:
    """Names of series: what is left when strings, label lists, matchers, ranges and functions are taken away."""
    text = _STRING.sub('""', expression)
    for pattern in (_LABELS, re.compile(r"\{[^}]*\}"), re.compile(r"\[[^\]]*\]")):
        text = pattern.sub(" ", text)
    return {name for name in _NAME.findall(text) if name.lower() not in _WORDS}
