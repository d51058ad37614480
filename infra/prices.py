"""What the platform's resources cost: `prices.json`, the one price table, and what rules and documents make of it.

A pod pays for what it asks for: a virtual CPU and a GiB of memory an hour, each worked out from two instance types that
differ in their memory alone. The prices are for comparing and noticing growth, not for a bill; the table says where
they come from and that they are not verified.
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
"""Dollars of one GiB of memory for one hour."""
VCPU_HOUR: Final = (GENERAL.hour - GIB_HOUR * GENERAL.memory_gib) / GENERAL.vcpus
"""Dollars of one virtual CPU for one hour."""


def pod_month(*, vcpus: float, memory_gib: float) -> float:
    """Dollars a month for a pod that asks for so much."""
    return (vcpus * VCPU_HOUR + memory_gib * GIB_HOUR) * float(TABLE["hours_per_month"])


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
