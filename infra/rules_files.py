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
"""The prices that rules about cost multiply by; it is written from the price table."""


def rule_files(workloads: Iterable[Workload]) -> dict[str, str]:
    """Return the rule files of these workloads by file name, and the prices. Some workloads have no rules."""
    names = {workload.name for workload in workloads}
    paths = [path for path in sorted(RULES.glob("*.yaml")) if path.name.split(".")[0] in names]
    return {path.name: path.read_text(encoding="utf-8") for path in paths} | {PRICES: prices.rules()}
