"""Prices are read from AWS' price list: its answers are made up here, in the documented form.

The form is that of the AWS Billing user guide, "Reading the service price list file" and of `GetProducts`: a list of
JSON texts, with attributes, terms, and prices in tiers as texts.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from infra.prices import FILE, TABLE
from ops.errors import OpsError
from ops.stack import cost_refresh as refresh
from ops.stack.cost_refresh import Field

LOGS = Field(service="AmazonCloudWatch", usagetype="EUC1-DataProcessing-Bytes", unit="GB", filters={})


def product(field: Field, *tiers: tuple[str, str], published: str = "2026-12-01T09:00:00Z", unit: str = "") -> str:
    """One product with prices by the beginning of each tier."""
    sku = f"{field.service}{field.usagetype}"
    dimensions = {
        f"{sku}.JRTCKXETXF.{number}": {
            "rateCode": f"{sku}.JRTCKXETXF.{number}",
            "unit": unit or field.unit,
            "beginRange": begin,
            "endRange": "Inf",
            "description": "a price",
            "appliesTo": [],
            "pricePerUnit": {"USD": price},
        }
        for number, (begin, price) in enumerate(tiers)
    }
    return json.dumps(
        {
            "product": {"productFamily": "x", "sku": sku, "attributes": {"usagetype": field.usagetype}},
            "serviceCode": field.service,
            "version": "20261201090000",
            "publicationDate": published,
            "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": {"sku": sku, "priceDimensions": dimensions}}},
        }
    )


class PriceList:
    """A stand-in for boto3's client: it knows some usage types and notes what it is asked for."""

    def __init__(self, products: dict[tuple[str, str], list[str]]) -> None:
        self.products, self.asked = products, list[dict[str, Any]]()

    def get_paginator(self, operation: str) -> PriceList:
        assert operation == "get_products"
        return self

    def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
        self.asked.append(arguments)
        named = {item["Field"]: item["Value"] for item in arguments["Filters"]}
        assert {item["Type"] for item in arguments["Filters"]} == {"TERM_MATCH"}
        key = (arguments["ServiceCode"], named["usagetype"] + named.get("productFamily", ""))
        # Two pages, as for a long answer.
        known = self.products.get(key, [])
        return [{"PriceList": known[:1], "FormatVersion": "aws_v1"}, {"PriceList": known[1:]}]


def everything(**prices: str) -> PriceList:
    """A list with all of the table's fields at their present prices, but for some by path, with `__` for a slash."""
    new = {path.replace("__", "/"): price for path, price in prices.items()}
    old = refresh.prices(TABLE)
    return PriceList(
        {
            (field.service, field.usagetype + field.filters.get("productFamily", "")): [
                product(field, ("0", new.get(path, f"{old[path]:.10f}")))
            ]
            for path, field in refresh.fields(TABLE).items()
        }
    )


def test_every_price_has_its_name_in_the_price_list_or_a_reason() -> None:
    prices = refresh.prices(TABLE)
    assert set(prices) == set(TABLE["fields"]) | set(TABLE["by_hand"])
    assert not set(TABLE["fields"]) & set(TABLE["by_hand"])
    assert all(price > 0 for price in prices.values())


def test_a_price_without_a_name_is_found() -> None:
    """Shows that the test above can fail."""
    assert "spare" in refresh.prices({**TABLE, "spare": 1.0})


def test_the_file_is_as_it_is_written() -> None:
    assert FILE.read_text("utf-8") == refresh.text(TABLE)


def test_a_changed_price_is_read_with_the_day_of_its_publication() -> None:
    before = copy.deepcopy(TABLE)
    result = refresh.refreshed(everything(nat_gib="0.0600000000", load_balancer_unit_hour__nlb="0.0070000000"), TABLE)
    assert result.changes == ["nat_gib: 0.052 -> 0.06", "load_balancer_unit_hour/nlb: 0.006 -> 0.007"]
    assert (result.problems, result.table["as_of"], result.table["verified"]) == ([], "2026-12-01", True)
    assert result.table["nat_gib"] == 0.06
    assert result.table["load_balancer_unit_hour"] == {"nlb": 0.007, "alb": TABLE["load_balancer_unit_hour"]["alb"]}
    assert before == TABLE


def test_a_price_that_the_list_does_not_have_stays_and_is_named() -> None:
    prices = everything()
    del prices.products["AmazonVPC", "EUC1-PublicIPv4:InUseAddress"]
    result = refresh.refreshed(prices, TABLE)
    assert result.problems == [
        "public_ipv4_hour stays 0.005: AmazonVPC has 0 prices of EUC1-PublicIPv4:InUseAddress, and not one"
    ]
    assert result.table["verified"] is False


def test_a_list_that_gives_nothing_is_an_error() -> None:
    with pytest.raises(OpsError, match="the price list gave no price; nothing was written"):
        refresh.refreshed(PriceList({}), TABLE)


def test_the_first_tier_that_costs_something_counts() -> None:
    tiers = [("10240", "0.5000000000"), ("0", "0.0000000000"), ("5", "0.6300000000")]
    assert refresh.price_of([product(LOGS, *tiers)], LOGS) == (0.63, "2026-12-01")


def test_two_prices_or_another_unit_are_refused() -> None:
    one, other = product(LOGS, ("0", "0.63")), product(LOGS, ("0", "0.50"))
    assert refresh.price_of([one, one], LOGS)[0] == 0.63
    with pytest.raises(OpsError, match="2 prices"):
        refresh.price_of([one, other], LOGS)
    with pytest.raises(OpsError, match="priced by Hrs, and not by GB"):
        refresh.price_of([product(LOGS, ("0", "0.63"), unit="Hrs")], LOGS)


def test_a_region_is_asked_for_wherever_a_price_has_one() -> None:
    prices = everything()
    refresh.refreshed(prices, TABLE)
    regions = {
        asked["ServiceCode"]: next((f["Value"] for f in asked["Filters"] if f["Field"] == "regionCode"), None)
        for asked in prices.asked
    }
    assert regions.pop("AmazonRoute53") is None
    assert set(regions.values()) == {TABLE["region"]}
