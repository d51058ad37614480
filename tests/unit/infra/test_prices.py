"""The price table, and the rules that Prometheus gets from it."""

from __future__ import annotations

import json

import pytest

from infra import prices


def test_the_hours_of_cpu_and_memory_add_up_to_the_instances_they_come_from() -> None:
    for instance in (prices.GENERAL, prices.COMPUTE):
        together = instance.vcpus * prices.VCPU_HOUR + instance.memory_gib * prices.GIB_HOUR
        assert together == pytest.approx(instance.hour)


def test_a_pod_pays_for_a_month_of_what_it_asks_for() -> None:
    assert prices.pod_month(vcpus=2, memory_gib=8) == pytest.approx(prices.GENERAL.hour * 730)


def test_prometheus_has_the_budget_of_the_pods_where_there_is_one() -> None:
    def records(text: str) -> dict[str, str]:
        (group,) = json.loads(text)["groups"]
        return {rule["record"]: rule["expr"] for rule in group["rules"]}

    assert records(prices.rules(280))["churn:budget:dollars_per_month"] == "vector(280)"
    assert "churn:budget:dollars_per_month" not in records(prices.rules())


def test_prometheus_has_the_price_of_a_core_and_of_a_byte() -> None:
    (group,) = json.loads(prices.rules())["groups"]
    values = {rule["labels"]["resource"]: float(rule["expr"][len("vector(") : -1]) for rule in group["rules"]}
    assert values["cpu"] == pytest.approx(prices.VCPU_HOUR, rel=1e-4)
    assert values["memory"] * 1024**3 == pytest.approx(prices.GIB_HOUR, rel=1e-4)
