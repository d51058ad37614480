"""The estimate is of what is recorded, and the document is of this code and these files."""

from __future__ import annotations

from typing import Any

import pytest
from support.paths import ROOT
from support.recorder import config, recorded

from infra.prices import TABLE
from ops.errors import OpsError
from ops.stack import cost


def parts(stack: str, **changes: dict[str, Any]) -> dict[str, float]:
    settings = config(stack)
    for section, values in changes.items():
        settings[f"churn:{section}"] = {**settings[f"churn:{section}"], **values}
    return {item.name: item.usd for item in cost.bill(recorded(stack), settings)}


def test_a_second_copy_of_the_database_doubles_it() -> None:
    assert parts("staging", rds={"multi_az": True})["Database"] == 2 * parts("staging")["Database"]


def test_nat_gateways_are_those_of_the_stack() -> None:
    one = TABLE["nat_gateway_hour"] * TABLE["hours_per_month"]
    traffic = cost.GIB_OUT_NAT * TABLE["nat_gib"]
    assert parts("staging")["NAT gateways"] == pytest.approx(one + traffic)
    assert parts("prod")["NAT gateways"] == pytest.approx(3 * one + traffic)


def test_a_class_without_a_price_is_named_with_the_remedy() -> None:
    with pytest.raises(OpsError, match=r"prices\.json has no price of db\.x9\.huge: add it to rds_hour"):
        parts("staging", rds={"instance_class": "db.x9.huge"})


def test_the_document_is_up_to_date() -> None:
    bills = {stack: cost.bill(recorded(stack), config(stack)) for stack in cost.on_aws(ROOT)}
    assert cost.DOCUMENT.read_text("utf-8") == cost.document(bills), "python -m ops.stack.cost --write"
