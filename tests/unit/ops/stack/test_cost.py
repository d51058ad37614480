"""The estimate is of what is recorded, and the document is of this code and these files."""

from __future__ import annotations

from typing import Any

import pytest
from support.paths import ROOT
from support.recorder import config, recorded

from infra.prices import TABLE
from ops.errors import OpsError
from ops.stack import cost
from ops.stack.cost_use import USES, USUAL


def parts(stack: str, **changes: dict[str, Any]) -> dict[str, float]:
    settings = config(stack)
    for section, values in changes.items():
        settings[f"churn:{section}"] = {**settings[f"churn:{section}"], **values}
    return {item.name: item.usd for item in cost.bill(recorded(stack), settings)}


def test_a_second_copy_of_the_database_doubles_it() -> None:
    assert parts("staging", rds={"multi_az": True})["Database"] == 2 * parts("staging")["Database"]


def test_nat_gateways_are_those_of_the_stack() -> None:
    one = TABLE["nat_gateway_hour"] * TABLE["hours_per_month"]
    traffic = USUAL.nat_gib * TABLE["nat_gib"]
    assert parts("staging")["NAT gateways"] == pytest.approx(one + traffic)
    assert parts("prod")["NAT gateways"] == pytest.approx(3 * one + traffic)


def test_more_use_never_costs_less_and_everything_that_depends_on_use_is_a_range() -> None:
    little, usual, much = (
        {item.name: item.usd for item in cost.bill(recorded("prod"), config("prod"), use)} for use in USES
    )
    assert all(little[name] <= usual[name] <= much[name] for name in usual)
    assert {name for name in usual if little[name] < much[name]} == {
        "Nodes", "System nodes", "NAT gateways", "Load balancers", "Between zones", "Logs", "Buckets",
    }  # fmt: skip


def test_every_public_address_is_counted() -> None:
    """Three NAT gateways, and the load balancer in three zones."""
    address = TABLE["public_ipv4_hour"] * TABLE["hours_per_month"]
    assert parts("prod")["Public addresses"] == pytest.approx(6 * address)


def test_a_network_balancer_has_units_of_its_own_price() -> None:
    difference = TABLE["load_balancer_unit_hour"]["alb"] - TABLE["load_balancer_unit_hour"]["nlb"]
    assert difference > 0
    nlb, alb = (parts("staging", edge={"balancer": kind})["Load balancers"] for kind in ("nlb", "alb"))
    # One for the API, one inside the VPC.
    assert alb - nlb == pytest.approx(2 * difference * TABLE["hours_per_month"] * USUAL.balancer_units)


def test_auto_modes_own_nodes_cost_and_managed_nodes_have_none() -> None:
    assert parts("prod")["System nodes"] > 0
    assert parts("prod", eks={"nodes": "managed"})["System nodes"] == 0


def test_the_source_of_the_prices_is_said() -> None:
    assert "not verified" in cost.source({"region": "r", "as_of": "2026-11-30", "verified": False})
    assert "price list of 2026-12-01" in cost.source({"region": "r", "as_of": "2026-12-01", "verified": True})


def test_a_class_without_a_price_is_named_with_the_remedy() -> None:
    with pytest.raises(OpsError, match=r"prices\.json has no price of db\.x9\.huge: add it to rds_hour"):
        parts("staging", rds={"instance_class": "db.x9.huge"})


def test_the_document_is_up_to_date() -> None:
    bills = {stack: [cost.bill(recorded(stack), config(stack), use) for use in USES] for stack in cost.on_aws(ROOT)}
    assert cost.DOCUMENT.read_text("utf-8") == cost.document(bills), "python -m ops.stack.cost --write"
