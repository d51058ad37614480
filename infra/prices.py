"""What the resources of the platform cost: the one price table, of rules, dashboards and documents.

On-demand list prices of AWS in us-east-1, in dollars and without discounts or taxes. A pod pays for what it asks for:
a virtual CPU and a GiB of memory an hour, each worked out from two instance types that differ in their memory alone.
They are for comparing and noticing growth, not for a bill. They are not verified against the page they name yet: check
them before a decision rests on them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Final

GIB: Final = 1024**3
HOURS_PER_MONTH: Final = 730


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance type and its price an hour."""

    name: str
    vcpus: int
    memory_gib: int
    dollars_per_hour: float
    source: str
    as_of: date


_SOURCE: Final = "https://aws.amazon.com/ec2/pricing/on-demand/"
GENERAL: Final = Instance(
    name="m6i.large", vcpus=2, memory_gib=8, dollars_per_hour=0.096, source=_SOURCE, as_of=date(2025, 6, 1)
)
COMPUTE: Final = Instance(
    name="c6i.large", vcpus=2, memory_gib=4, dollars_per_hour=0.085, source=_SOURCE, as_of=date(2025, 6, 1)
)

GIB_HOUR: Final = (GENERAL.dollars_per_hour - COMPUTE.dollars_per_hour) / (GENERAL.memory_gib - COMPUTE.memory_gib)
"""Dollars of one GiB of memory for one hour."""
VCPU_HOUR: Final = (GENERAL.dollars_per_hour - GIB_HOUR * GENERAL.memory_gib) / GENERAL.vcpus
"""Dollars of one virtual CPU for one hour."""


def pod_month(*, vcpus: float, memory_gib: float) -> float:
    """Dollars a month for a pod that asks for so much."""
    return (vcpus * VCPU_HOUR + memory_gib * GIB_HOUR) * HOURS_PER_MONTH


def rules() -> str:
    """The prices as a rule file for Prometheus: dollars an hour of one unit, as kube-state-metrics counts it.

    That is one core of ``cpu`` and one byte of ``memory``.
    """
    units = {"cpu": VCPU_HOUR, "memory": GIB_HOUR / GIB}
    records = [
        {"record": "churn:price:dollars_per_hour", "expr": f"vector({price:.6g})", "labels": {"resource": resource}}
        for resource, price in units.items()
    ]
    return json.dumps({"groups": [{"name": "prices", "rules": records}]}, indent=1) + "\n"
