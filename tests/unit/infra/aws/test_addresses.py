"""Subnets: exact, disjoint, inside the VPC, and the same for a zone however many zones there are."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest

from infra.aws.addresses import Plan, plan


def test_the_plan_of_prod_is_exactly_this() -> None:
    assert plan("10.30.0.0/16", 3) == Plan(
        vpc="10.30.0.0/16",
        private=("10.30.0.0/19", "10.30.32.0/19", "10.30.64.0/19"),
        public=("10.30.192.0/22", "10.30.196.0/22", "10.30.200.0/22"),
        database=("10.30.224.0/24", "10.30.225.0/24", "10.30.226.0/24"),
    )


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.16.0.0/18", "192.168.16.0/20"])
@pytest.mark.parametrize("zones", [1, 2, 3, 4])
def test_subnets_are_disjoint_and_inside(cidr: str, zones: int) -> None:
    result = plan(cidr, zones)
    subnets = [IPv4Network(text) for text in (*result.private, *result.public, *result.database)]
    assert len(subnets) == 3 * zones
    assert all(subnet.subnet_of(IPv4Network(cidr)) and subnet.prefixlen <= 28 for subnet in subnets)
    assert not [pair for pair in combinations(subnets, 2) if pair[0].overlaps(pair[1])]


def test_another_zone_moves_no_subnet() -> None:
    two, three = plan("10.20.0.0/16", 2), plan("10.20.0.0/16", 3)
    for tier in ("private", "public", "database"):
        assert getattr(three, tier)[:2] == getattr(two, tier)


@pytest.mark.parametrize(
    ("cidr", "zones", "message"),
    [
        ("10.0.0.0/21", 2, "use a network from /16 to /20"),
        ("10.0.0.0/15", 2, "use a network from /16 to /20"),
        ("10.0.0.0/16", 5, "use 1 to 4"),
    ],
)
def test_a_network_that_cannot_be_divided_is_refused(cidr: str, zones: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(cidr, zones)
