"""What the resources of the platform cost: the one price table, `prices.json`, of rules, dashboards and documents.

List prices in dollars, without discounts or taxes; the file says of which region and when. They are for comparing and
noticing growth, not for a bill, and not verified against AWS yet: check them before a decision rests on them.

A node is paid for whole. A pod pays for what it asks for, a virtual CPU and a GiB of memory an hour: they share the
node's price in the proportion that two instance types show which differ in their memory alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

GIB: Final = 1024**3
FILE: Final = Path(__file__).with_name("prices.json")
TABLE: Final[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance type; ``hour`` is what one costs an hour, in dollars."""

    name: str
    vcpus: int
    memory_gib: int
    hour: float


NODE: Final = Instance(**TABLE["node"])
NODE_VCPU_HOUR: Final = NODE.hour / NODE.vcpus
"""Dollars of a virtual CPU with the memory that a node has for it, for one hour."""


def gib_in_vcpus(general: Instance, compute: Instance) -> float:
    """What a GiB of memory costs, as a share of what a virtual CPU costs, by two types with as many CPUs."""
    gib = (general.hour - compute.hour) / (general.memory_gib - compute.memory_gib)
    return gib / ((general.hour - gib * general.memory_gib) / general.vcpus)


_SHARE: Final = gib_in_vcpus(*(Instance(**TABLE["split_by"][role]) for role in ("general", "compute")))
VCPU_HOUR: Final = NODE.hour / (NODE.vcpus + _SHARE * NODE.memory_gib)
"""Dollars of one virtual CPU without memory for one hour."""
GIB_HOUR: Final = _SHARE * VCPU_HOUR
"""Dollars of one GiB of memory for one hour."""


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
