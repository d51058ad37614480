"""PromQL as a tree: enough of the language to say which metrics and labels an expression asks for.

It trusts that the expression is valid, which promtool proves elsewhere; Grafana's variables may stand in strings and
in ranges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<range>\[[^\]]*\])
    |(?P<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d+)
    |(?P<name>[a-zA-Z_:][\w:]*)
    |(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},@])""",
    re.VERBOSE,
)
_AGGREGATIONS: Final = {
    "avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min", "quantile", "stddev",
    "stdvar", "sum", "topk",
}  # fmt: skip
_LEVELS: Final = (
    {"or"}, {"and", "unless"}, {"==", "!=", "<=", "<", ">=", ">"}, {"+", "-"}, {"*", "/", "%", "atan2"}, {"^"},
)  # fmt: skip
"""Operators from those that bind least to those that bind most."""


@dataclass(frozen=True)
class Matcher:
    """``label op "value"`` between braces."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True)
class Value:
    """A number or a string."""

    text: str


@dataclass(frozen=True)
class Selector:
    """A metric with its matchers; ranges and offsets do not matter here."""

    metric: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Aggregation:
    """An aggregation; its labels are None where it has no clause."""

    name: str
    arguments: tuple[Node, ...]
    by: tuple[str, ...] | None = None
    without: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Binary:
    """Two sides, and how they are matched: ``on`` and ``ignoring`` are None where there is no such clause."""

    operator: str
    left: Node
    right: Node
    on: tuple[str, ...] | None = None
    ignoring: tuple[str, ...] | None = None
    group: str = ""
    """``left`` or ``right`` where many series of that side match one of the other."""
    include: tuple[str, ...] = ()
    """Labels that the many take over from the one."""


Node = Value | Selector | Call | Aggregation | Binary


def parse(expression: str) -> Node:
    """The tree of an expression; ``ValueError`` if it is none."""
    parser = _Parser(list(_tokens(expression)))
    node = parser.operation()
    if parser.tokens:
        raise ValueError(f"left over in {expression!r}: {parser.tokens}")
    return node


def selectors(node: Node) -> Iterator[Selector]:
    """Every selector in a tree."""
    match node:
        case Selector():
            yield node
        case Binary():
            yield from selectors(node.left)
            yield from selectors(node.right)
        case Call() | Aggregation():
            for argument in node.arguments:
                yield from selectors(argument)


def metrics(expression: str) -> set[str]:
    """Names of series that an expression asks for."""
    return {selector.metric for selector in selectors(parse(expression))}


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token, without space and comments."""
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            raise ValueError(f"no PromQL from here on: {expression[at:]!r}")
        at = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found.group()


@dataclass
class _Parser:
    """Takes tokens from the front."""

    tokens: list[tuple[str, str]] = field(default_factory=list)

    def _text(self) -> str:
        kind, text = self.tokens[0] if self.tokens else ("", "")
        return "" if kind == "string" else text

    def _take(self, expected: str = "") -> str:
        if not self.tokens or (expected and self._text() != expected):
            raise ValueError(f"expected {expected or 'more'} before {self.tokens}")
        return self.tokens.pop(0)[1]

    def _takes(self, *texts: str) -> str:
        """The next token if it is one of these, else nothing."""
        return self._take() if self._text() in texts else ""

    def operation(self, level: int = 0) -> Node:
        """Operators of this level and of those that bind more."""
        if level == len(_LEVELS):
            return self._operand()
        left = self.operation(level + 1)
        while operator := self._takes(*_LEVELS[level]):
            self._takes("bool")
            clause = self._takes("on", "ignoring")
            labels = self._labels() if clause else None
            many = self._takes("group_left", "group_right")
            include = self._labels() if many and self._text() == "(" else ()
            # Powers alone group from the right.
            right = self.operation(level if operator == "^" else level + 1)
            left = Binary(
                operator,
                left,
                right,
                on=labels if clause == "on" else None,
                ignoring=labels if clause == "ignoring" else None,
                group=many.removeprefix("group_"),
                include=include,
            )
        return left

    def _operand(self) -> Node:
        if self._takes("-", "+"):
            # The sign of a power is that of its result, which has the same labels.
            return self.operation(len(_LEVELS) - 1)
        if self._takes("("):
            node = self.operation()
            self._take(")")
        else:
            node = self._atom()
        self._modifiers()
        return node

    def _atom(self) -> Node:
        if not self.tokens:
            raise ValueError("the expression ends too early")
        kind, text = self.tokens[0]
        if self._text() == "{":
            return self._selector("")
        self._take()
        if kind in {"number", "string"} or text.lower() in {"inf", "nan"}:
            return Value(text[1:-1] if kind == "string" else text)
        if kind != "name":
            raise ValueError(f"expected an operand, not {text!r}")
        if text in _AGGREGATIONS and self._text() in {"(", "by", "without"}:
            return self._aggregation(text)
        return Call(text, self._arguments()) if self._text() == "(" else self._selector(text)

    def _aggregation(self, name: str) -> Aggregation:
        """The clause may stand before the arguments or behind them."""
        clause = self._takes("by", "without")
        labels = self._labels() if clause else None
        arguments = self._arguments()
        if not clause and (clause := self._takes("by", "without")):
            labels = self._labels()
        return Aggregation(
            name, arguments, by=labels if clause == "by" else None, without=labels if clause == "without" else None
        )

    def _arguments(self) -> tuple[Node, ...]:
        self._take("(")
        found: list[Node] = []
        while not self._takes(")"):
            found.append(self.operation())
            self._takes(",")
        return tuple(found)

    def _labels(self) -> tuple[str, ...]:
        self._take("(")
        found: list[str] = []
        while not self._takes(")"):
            found.append(self._take())
            self._takes(",")
        return tuple(found)

    def _selector(self, metric: str) -> Selector:
        matchers: list[Matcher] = []
        if self._takes("{"):
            while not self._takes("}"):
                label, operator, value = self._take(), self._take(), self._take()
                matchers.append(Matcher(label, operator, value[1:-1]))
                self._takes(",")
        if not metric:
            raise ValueError("a selector without a metric: what it asks for cannot be known")
        return Selector(metric, tuple(matchers))

    def _modifiers(self) -> None:
        """Ranges, ``offset`` and ``@``, which change no label."""
        while self.tokens:
            if self.tokens[0][0] == "range":
                self._take()
            elif self._takes("offset", "@"):
                self._takes("-", "+")
                self._take()
                if self._takes("("):
                    self._take(")")
            else:
                return
