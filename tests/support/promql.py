"""Selectors and metrics of PromQL expressions, which `promql-parser` parses.

Grafana's variables may stand in strings and in ranges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import promql_parser as p

_VARIABLE_RANGE: Final = re.compile(r"\[\$\w+")
_OPERATORS: Final = ((p.MatchOp.Equal, "="), (p.MatchOp.NotEqual, "!="), (p.MatchOp.Re, "=~"), (p.MatchOp.NotRe, "!~"))
_MANY: Final = ((p.VectorMatchCardinality.ManyToOne, "left"), (p.VectorMatchCardinality.OneToMany, "right"))
"""Pairs, here and above, since the parser's constants cannot be keys of a dictionary."""


@dataclass(frozen=True)
class Matcher:
    """``label op "value"`` between braces."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True)
class Selector:
    """A metric with its matchers; ranges and offsets change no label."""

    metric: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True)
class Matching:
    """How the two sides of an operation are matched; ``on`` is None where there is no such clause."""

    on: frozenset[str] | None = None
    ignoring: frozenset[str] = frozenset()
    many: str = ""
    """``left`` or ``right`` where many series of that side match one of the other."""
    copied: frozenset[str] = frozenset()
    """Labels that the many take over from the one."""


def parse(expression: str) -> p.Expr:
    """The tree of an expression; ``ValueError`` if it is not valid."""
    return p.parse(_VARIABLE_RANGE.sub("[5m", expression))


def bare(node: p.Expr) -> p.Expr:
    """The node without parentheses, sign, range and offset around it, none of which changes a label."""
    match node:
        case p.ParenExpr() | p.UnaryExpr() | p.SubqueryExpr():
            return bare(node.expr)
        case p.MatrixSelector():
            return node.vector_selector
    return node


def selector(node: p.VectorSelector) -> Selector:
    """What a selector asks for; ``ValueError`` if it names no metric, or has alternatives, which Prometheus lacks."""
    if node.name is None:
        raise ValueError(f"cannot tell which metrics {node} selects: it names none")
    if node.matchers.or_matchers:
        raise ValueError(f"{node}: Prometheus knows no `or` between matchers")
    return Selector(node.name, tuple(map(_matcher, node.matchers.matchers)))


def _matcher(node: p.Matcher) -> Matcher:
    (operator,) = (text for constant, text in _OPERATORS if constant == node.op)
    return Matcher(node.name, operator, node.value)


def matching(node: p.BinaryExpr) -> Matching:
    """The clauses of an operation."""
    clauses = node.modifier
    if clauses is None:
        return Matching()
    labels = frozenset(clauses.matching.labels if clauses.matching else ())
    has_on = clauses.matching is not None and clauses.matching.type == p.LabelModifierType.Include
    return Matching(
        on=labels if has_on else None,
        ignoring=frozenset() if has_on else labels,
        many=next((side for cardinality, side in _MANY if cardinality == clauses.card), ""),
        copied=frozenset(clauses.group_labels or ()),
    )


def selectors(node: p.Expr) -> Iterator[Selector]:
    """Every selector in a tree."""
    nodes: list[p.VectorSelector] = []

    def note(visited: p.Expr) -> None:
        if isinstance(visited, p.VectorSelector):
            nodes.append(visited)

    p.walk(node, pre_visit=note)
    return map(selector, nodes)


def metrics(expression: str) -> set[str]:
    """Names of series that an expression asks for."""
    return {each.metric for each in selectors(parse(expression))}
