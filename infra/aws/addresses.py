"""How a VPC is divided into subnets: a zone has the same subnets however many zones there are.

Pods have addresses of the VPC, so private subnets are large: an eighth of it each, for up to four zones. The seventh
eighth is for public subnets, a 64th of the VPC each, and the last one for the database, a 256th each.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

MOST_ZONES: Final = 4
SMALLEST_PREFIX: Final = 20
"""AWS has no subnet smaller than /28, which is a 256th of a /20."""
LARGEST_PREFIX: Final = 16
"""AWS allows no larger VPC."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Subnets by tier, one for each zone, in the order of the zones."""

    vpc: str
    private: tuple[str, ...]
    public: tuple[str, ...]
    database: tuple[str, ...]


def plan(cidr: str, zones: int) -> Plan:
    """Divide a VPC into subnets.

    Raises:
        ValueError: the VPC is too small or too large, or there are more zones than blocks.
    """
    vpc = IPv4Network(cidr)
    if not LARGEST_PREFIX <= vpc.prefixlen <= SMALLEST_PREFIX:
        raise ValueError(f"{cidr} cannot be divided: use a network from /{LARGEST_PREFIX} to /{SMALLEST_PREFIX}")
    if not 1 <= zones <= MOST_ZONES:
        raise ValueError(f"{zones} zones cannot have subnets of their own: use 1 to {MOST_ZONES}")
    eighths = list(vpc.subnets(prefixlen_diff=3))
    return Plan(
        vpc=str(vpc),
        private=_first(eighths, zones),
        public=_first(list(eighths[6].subnets(prefixlen_diff=3)), zones),
        database=_first(list(eighths[7].subnets(prefixlen_diff=5)), zones),
    )


def _first(networks: list[IPv4Network], count: int) -> tuple[str, ...]:
    return tuple(str(network) for network in networks[:count])
