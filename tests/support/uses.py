"""Every place where the platform asks for metrics: its rules and its dashboards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import yaml

import dashboards
from infra import prices
from infra.rules_files import RULES

_IN_ALERT: Final = re.compile(r"\$labels\.(\w+)")
_IN_LEGEND: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class Use:
    """An expression, where it stands, and which labels of its answer are shown to people."""

    where: str
    expression: str
    shown: frozenset[str] = frozenset()


@cache
def every() -> tuple[Use, ...]:
    """The uses in alerts, recording rules, panels and variables of dashboards."""
    return (*map(_of_rule, rules()), *_of_dashboards())


@cache
def rules() -> tuple[dict[str, Any], ...]:
    """The rules of every workload and those with the prices."""
    texts = [*(path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yaml"))), prices.rules(1)]
    return tuple(rule for text in texts for group in yaml.safe_load(text)["groups"] for rule in group["rules"])


def _of_rule(rule: dict[str, Any]) -> Use:
    shown = _IN_ALERT.findall(" ".join(rule.get("annotations", {}).values()))
    return Use(rule.get("alert") or rule["record"], rule["expr"], frozenset(shown))


def _of_dashboards() -> Iterator[Use]:
    for name, page in dashboards.pages().items():
        for panel in (panel for row in page.rows for panel in row.panels):
            for query in panel.queries:
                yield Use(f"{name}: {panel.title}", query.expr, frozenset(_IN_LEGEND.findall(query.legend)))
        for variable in page.variables:
            yield Use(f"{name}: ${variable.name}", variable.metric, frozenset({variable.label}))
