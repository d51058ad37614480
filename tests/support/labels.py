"""Works out the labels of the answer to a PromQL expression, and which metrics and labels the expression names in vain.

Neither promtool nor the linters that can be had look at metrics and labels without a running Prometheus that holds
them: [ADR 17](../../docs/adr/0017-labels-are-worked-out-by-our-own-code.md) compares them mistake by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import promql_parser as p
from support.promql import Matching, Selector, bare, matching, parse, selector

Labels = frozenset[str]
Known = Callable[[Selector], Labels | None]
"""The labels that series of a selector can have; None if there are no such series."""

_SCALARS: Final = {"pi", "scalar", "time"}
_SETS: Final = {"and", "or", "unless"}
_CHOICES: Final = {"bottomk", "limit_ratio", "limitk", "topk"}
"""Aggregations that choose series, and leave each as it is."""


@dataclass
class Check:
    """Walks an expression and collects in ``problems`` what is wrong in it."""

    known: Known
    problems: list[str] = field(default_factory=list)

    def labels(self, node: p.Expr) -> Labels | None:
        """Labels that a series of the answer can have; None for a number or a string, which has no series."""
        match bare(node):
            case p.NumberLiteral() | p.StringLiteral():
                return None
            case p.VectorSelector() as vector:
                return self._of_selector(selector(vector))
            case p.Call() as call:
                return self._of_call(call)
            case p.AggregateExpr() as aggregation:
                return self._of_aggregation(aggregation)
            case p.BinaryExpr() as operation:
                return self._of_operation(operation)
        raise TypeError(f"no rule for the labels of {node}")

    def require(self, labels: Iterable[str], available: Labels, where: str) -> None:
        """Note each of ``labels`` that is not available."""
        self.problems += [f"{where}: no label {label}" for label in sorted(set(labels) - available)]

    def _of_selector(self, asked: Selector) -> Labels:
        available = self.known(asked)
        if available is None:
            jobs = [f"{m.operator}{m.value}" for m in asked.matchers if m.label == "job"]
            self.problems.append(f"no metric {asked.metric}" + "".join(f" of job{job}" for job in jobs))
            return frozenset()
        self.require((matcher.label for matcher in asked.matchers), available, asked.metric)
        return available

    def _of_call(self, call: p.Call) -> Labels | None:
        answers = [self.labels(argument) for argument in call.args]
        vectors = frozenset[str]().union(*(labels for labels in answers if labels is not None))
        match call.func.name:
            case name if name in _SCALARS:
                return None
            case "absent" | "absent_over_time":
                return _of_absent(call.args[0])
            case "histogram_quantile":
                self.require({"le"}, vectors, "histogram_quantile")
                return vectors - {"le"}
            case "label_replace" | "label_join":
                return vectors | _text(call.args[1])
        return vectors

    def _of_aggregation(self, node: p.AggregateExpr) -> Labels:
        name, clause = str(node.op), node.modifier
        inner = self.labels(node.expr) or frozenset()
        named = frozenset(clause.labels) if clause else frozenset[str]()
        without = clause is not None and clause.type == p.AggModifierType.Without
        self.require(named, inner, f"{name} {'without' if without else 'by'}")
        if name in _CHOICES:
            return inner
        labels = inner - named if without else named
        return labels | _text(node.param) if name == "count_values" and node.param else labels

    def _of_operation(self, node: p.BinaryExpr) -> Labels | None:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        if left is None or right is None:
            return left if right is None else right
        operator, clauses = str(node.op), matching(node)
        self._check_matching(operator, clauses, left, right)
        if operator in _SETS:
            return left | right if operator == "or" else left
        if clauses.many:
            many, one = (left, right) if clauses.many == "left" else (right, left)
            self.require(clauses.copied, one, f"group_{clauses.many}")
            return many | clauses.copied
        return clauses.on if clauses.on is not None else (left & right) - clauses.ignoring

    def _check_matching(self, operator: str, clauses: Matching, left: Labels, right: Labels) -> None:
        """Labels of the clauses exist; without ``on``, the sides have the same others, or no two series ever match."""
        if clauses.on is not None:
            self.require(clauses.on, left, f"left of {operator} on")
            self.require(clauses.on, right, f"right of {operator} on")
            return
        self.require(clauses.ignoring, left | right, f"{operator} ignoring")
        differ = (left ^ right) - clauses.ignoring
        if operator != "or" and differ and not self.problems:
            self.problems.append(f"{operator}: only one side has {', '.join(sorted(differ))}")


def _of_absent(argument: p.Expr) -> Labels:
    """What `absent` answers with: labels that a plain selector asks to be equal to something, and else none."""
    node = bare(argument)
    if not isinstance(node, p.VectorSelector):
        return frozenset()
    return frozenset(matcher.label for matcher in selector(node).matchers if matcher.operator == "=")


def _text(argument: p.Expr) -> Labels:
    """The label that a string argument names."""
    return frozenset({argument.val}) if isinstance(argument, p.StringLiteral) else frozenset()


def problems(expression: str, known: Known, shown: Iterable[str] = ()) -> list[str]:
    """Metrics and labels that an expression names in vain, and those of ``shown`` that its answer does not have."""
    check = Check(known)
    answer = check.labels(parse(expression)) or frozenset()
    if not check.problems:
        check.require(shown, answer, "the answer")
    return check.problems
