"""How much a stack is used in a month: little, as usual, and much, between which its cost lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a month's bill depends on besides the resources."""

    name: str
    nat_gib: int
    log_gib: int
    """What pods, the control plane, the database and the network write to CloudWatch."""
    cross_zone_gib: int
    """Between pods, the database and the load balancer in different zones; both sides are charged."""
    object_gib: int
    balancer_units: float
    """Load balancer capacity units at an average moment."""
    system_nodes: int
    """Nodes of Auto Mode's pool for the cluster's own pods."""
    scaled: bool
    """Whether autoscalers run as many pods as they may."""


LITTLE: Final = Use(
    name="little",
    nat_gib=20,
    log_gib=10,
    cross_zone_gib=20,
    object_gib=20,
    balancer_units=0.1,
    system_nodes=1,
    scaled=False,
)
USUAL: Final = Use(
    name="usual",
    nat_gib=100,
    log_gib=40,
    cross_zone_gib=200,
    object_gib=100,
    balancer_units=1,
    system_nodes=2,
    scaled=False,
)
MUCH: Final = Use(
    name="much",
    nat_gib=500,
    log_gib=200,
    cross_zone_gib=2000,
    object_gib=500,
    balancer_units=5,
    system_nodes=2,
    scaled=True,
)
USES: Final = (LITTLE, USUAL, MUCH)
