"""Which labels the answer to a PromQL expression has, and which metrics and labels it names in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from support.promql import Aggregation, Binary, Call, Node, Selector, Value, parse

Labels = frozenset[str]
Known = Callable[[Selector], Labels | None]
"""The labels that series of a selector can have; None if there are no such series."""

_SCALARS: Final = {"pi", "scalar", "time"}
_SETS: Final = {"and", "or", "unless"}
_KEEP: Final = {"bottomk", "limit_ratio", "limitk", "topk"}
"""Aggregations that choose series, and leave each as it is."""


@dataclass
class Check:
    """Walks an expression; what is wrong in it is collected in ``problems``."""

    known: Known
    problems: list[str] = field(default_factory=list)

    def labels(self, node: Node) -> Labels | None:
        """Labels that a series of the answer can have; None for a number, which has no series."""
        match node:
            case Value():
                return None
            case Selector():
                return self._selected(node)
            case Call():
                return self._called(node)
            case Aggregation():
                return self._aggregated(node)
            case Binary():
                return self._joined(node)

    def need(self, wanted: Iterable[str], there: Labels, where: str) -> None:
        """Note each label that is asked for and not there."""
        self.problems += [f"{where}: no label {label}" for label in sorted(set(wanted) - there)]

    def _selected(self, selector: Selector) -> Labels:
        there = self.known(selector)
        wanted = frozenset(matcher.label for matcher in selector.matchers)
        if there is None:
            jobs = [f"{m.operator}{m.value}" for m in selector.matchers if m.label == "job"]
            self.problems.append(f"no metric {selector.metric}" + "".join(f" of job{job}" for job in jobs))
            # Or every clause around it would be found as well.
            return frozenset()
        self.need(wanted, there, selector.metric)
        return there

    def _called(self, call: Call) -> Labels | None:
        found = [labels for argument in call.arguments if (labels := self.labels(argument)) is not None]
        vectors = frozenset[str]().union(*found)
        match call.name:
            case name if name in _SCALARS:
                return None
            case "absent" | "absent_over_time":
                return _of_absent(call.arguments[0])
            case "histogram_quantile":
                self.need({"le"}, vectors, call.name)
                return vectors - {"le"}
            case "label_replace" | "label_join":
                target = call.arguments[1]
                return vectors | ({target.text} if isinstance(target, Value) else set())
        return vectors

    def _aggregated(self, node: Aggregation) -> Labels:
        inner = self.labels(node.arguments[-1]) or frozenset()
        clause = "by" if node.by is not None else "without"
        self.need((node.by or ()) + (node.without or ()), inner, f"{node.name} {clause}")
        if node.name in _KEEP:
            return inner
        kept = inner - set(node.without) if node.without is not None else frozenset(node.by or ())
        first = node.arguments[0]
        return kept | {first.text} if node.name == "count_values" and isinstance(first, Value) else kept

    def _joined(self, node: Binary) -> Labels | None:
        left, right = self.labels(node.left), self.labels(node.right)
        if left is None or right is None:
            return left if right is None else right
        self._matched(node, left, right)
        if node.operator in _SETS:
            return left | right if node.operator == "or" else left
        if node.group:
            many, one = (left, right) if node.group == "left" else (right, left)
            self.need(node.include, one, f"group_{node.group}")
            return many | set(node.include)
        return frozenset(node.on) if node.on is not None else (left & right) - set(node.ignoring or ())

    def _matched(self, node: Binary, left: Labels, right: Labels) -> None:
        """Labels of the clause are there; without ``on``, the rest is the same, or no two series ever match."""
        if node.on is not None:
            self.need(node.on, left, f"left of {node.operator} on")
            self.need(node.on, right, f"right of {node.operator} on")
            return
        ignored = frozenset(node.ignoring or ())
        self.need(ignored, left | right, f"{node.operator} ignoring")
        differ = (left ^ right) - ignored
        if node.operator != "or" and differ and not self.problems:
            self.problems.append(f"{node.operator}: only one side has {', '.join(sorted(differ))}")


def _of_absent(argument: Node) -> Labels:
    """What `absent` answers with: labels that a plain selector asks to be equal to something, and else none."""
    if not isinstance(argument, Selector):
        return frozenset()
    return frozenset(matcher.label for matcher in argument.matchers if matcher.operator == "=")


def problems(expression: str, known: Known, shown: Iterable[str] = ()) -> list[str]:
    """Metrics and labels that an expression names in vain, and of ``shown`` those that its answer does not have."""
    check = Check(known)
    answer = check.labels(parse(expression)) or frozenset()
    if not check.problems:
        check.need(shown, answer, "the answer")
    return check.problems
