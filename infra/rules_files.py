"""Prometheus' rule files, for the workloads that there are: in a stack, or on a laptop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from infra import prices
from infra.naming import Workload

RULES: Final = Path(__file__).with_name("rules")
"""Files by workload: `<workload>.yaml` and `<workload>.<topic>.yaml`."""
PRICES: Final = "prices.yaml"
"""The prices that rules about cost multiply by, from the price table, and the stack's budget for pods."""


def rule_files(workloads: Iterable[Workload], pods_monthly_usd: int | None = None) -> dict[str, str]:
    """Return the rule files of these workloads by file name, and the prices. Some workloads have no rules.

    ``pods_monthly_usd`` is what the stack's pods may cost a month; without it, nothing is compared with a budget.
    """
    names = {workload.name for workload in workloads}
    paths = [path for path in sorted(RULES.glob("*.yaml")) if path.name.split(".")[0] in names]
    return {path.name: path.read_text(encoding="utf-8") for path in paths} | {PRICES: prices.rules(pods_monthly_usd)}
