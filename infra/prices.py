"""What the platform's resources cost: the price table `prices.json`, and the figures that rules and documents use.

A pod pays for what it requests. The hourly prices of a virtual CPU and of a GiB of memory are derived from two instance
types that differ only in memory. They serve to compare and to notice growth, not to predict a bill; the table says
where they come from, and that they are not verified.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

GIB: Final = 1024**3
FILE: Final = Path(__file__).with_name("prices.json")
TABLE: Final[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
"""List prices in dollars, without discounts or taxes."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance type and its dollars an hour."""

    name: str
    vcpus: int
    memory_gib: int
    hour: float


GENERAL: Final = Instance(**TABLE["instances"]["general"])
COMPUTE: Final = Instance(**TABLE["instances"]["compute"])

GIB_HOUR: Final = (GENERAL.hour - COMPUTE.hour) / (GENERAL.memory_gib - COMPUTE.memory_gib)
"""Dollars an hour for one GiB of memory."""
VCPU_HOUR: Final = (GENERAL.hour - GIB_HOUR * GENERAL.memory_gib) / GENERAL.vcpus
"""Dollars an hour for one virtual CPU."""


def pod_month(*, vcpus: float, memory_gib: float) -> float:
    """Return the dollars a month for a pod with these requests."""
    return (vcpus * VCPU_HOUR + memory_gib * GIB_HOUR) * float(TABLE["hours_per_month"])


def rules(pods_monthly_usd: int | None = None) -> str:
    """Return the prices as a rule file for Prometheus, in dollars an hour for one core and for one byte of memory.

    These are the units of kube-state-metrics. The budget of the pods, in dollars a month, is a record too if there is
    one: a laptop has none.
    """
    units = {"cpu": VCPU_HOUR, "memory": GIB_HOUR / GIB}
    records: list[dict[str, Any]] = [
        {"record": "churn:price:dollars_per_hour", "expr": f"vector({price:.6g})", "labels": {"resource": resource}}
        for resource, price in units.items()
    ]
    if pods_monthly_usd is not None:
        records.append({"record": "churn:budget:dollars_per_month", "expr": f"vector({pods_monthly_usd})"})
    return json.dumps({"groups": [{"name": "prices", "rules": records}]}, indent=1) + "\n"
