"""The price table, and what Prometheus is given of it."""

from __future__ import annotations

import json

import pytest

from infra import prices


def test_the_hours_of_cpu_and_memory_add_up_to_the_node_they_come_from() -> None:
    node = prices.NODE
    assert node.vcpus * prices.VCPU_HOUR + node.memory_gib * prices.GIB_HOUR == pytest.approx(node.hour)
    assert node.vcpus * prices.NODE_VCPU_HOUR == pytest.approx(node.hour)


def test_two_types_that_differ_in_memory_alone_give_its_share() -> None:
    general = prices.Instance(name="g", vcpus=2, memory_gib=8, hour=0.096)
    compute = prices.Instance(name="c", vcpus=2, memory_gib=4, hour=0.085)
    # 4 GiB for 0.011, so 8 for 0.022; that leaves 0.074 for two CPUs.
    assert prices.gib_in_vcpus(general, compute) == pytest.approx((0.011 / 4) / 0.037)


def test_the_table_says_where_it_is_from_and_what_it_is_worth() -> None:
    assert "not verified" in prices.TABLE["source"]
    assert "not verified" in prices.TABLE["split_by"]["source"]


def test_prometheus_has_the_price_of_a_core_and_of_a_byte() -> None:
    (group,) = json.loads(prices.rules())["groups"]
    values = {rule["labels"]["resource"]: float(rule["expr"][len("vector(") : -1]) for rule in group["rules"]}
    assert values["cpu"] == pytest.approx(prices.VCPU_HOUR, rel=1e-4)
    assert values["memory"] * 1024**3 == pytest.approx(prices.GIB_HOUR, rel=1e-4)
