"""Reads the prices of `infra/prices.json` from AWS' price list, by the names that each price has there.

The answer of `GetProducts` is a list of products, each a JSON text with its ``product.attributes`` and its ``terms``
(AWS Billing user guide, "Reading the service price list file"). Of a price in tiers, the first that costs something
counts.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.errors import OpsError

API_REGION: Final = "us-east-1"
"""The price list has its API in a few regions only, and answers there for all of them."""
Table = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where one price stands in the price list."""

    service: str
    usagetype: str
    unit: str
    filters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """A table with new prices, what changed, and which prices stay because the list gave no single one."""

    table: Table
    changes: list[str]
    problems: list[str]


def fields(table: Table) -> dict[str, Field]:
    """Return the place of each price by its path, such as ``rds_hour/db.t4g.small``."""
    return {path: Field(**field) for path, field in table["fields"].items()}


def prices(table: Table) -> dict[str, float]:
    """Return every number of the table by its path, but for the sizes of instances."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, float]]:
        for key, inner in value.items():
            at = f"{path}/{key}" if path else key
            if isinstance(inner, dict):
                yield from walk(inner, at)
            elif isinstance(inner, int | float) and not isinstance(inner, bool) and key not in {"vcpus", "memory_gib"}:
                yield at, float(inner)

    return dict(walk({key: value for key, value in table.items() if key not in {"fields", "by_hand"}}, ""))


def price_of(products: list[str], field: Field) -> tuple[float, str]:
    """Return the one price of some products in dollars, and the day of its publication.

    Raises:
        OpsError: there is none, or more than one, or it has another unit.
    """
    list_prices, days = set(), set()
    for text in products:
        product = json.loads(text)
        days.add(str(product["publicationDate"])[:10])
        for term in product["terms"].get("OnDemand", {}).values():
            tiers = sorted(term["priceDimensions"].values(), key=lambda tier: float(tier["beginRange"]))
            charged = [tier for tier in tiers if float(tier["pricePerUnit"]["USD"]) > 0]
            if charged and charged[0]["unit"] != field.unit:
                raise OpsError(f"{field.usagetype} is priced by {charged[0]['unit']}, and not by {field.unit}")
            list_prices |= {float(tier["pricePerUnit"]["USD"]) for tier in charged[:1]}
    if len(list_prices) != 1:
        raise OpsError(f"{field.service} has {len(list_prices)} prices of {field.usagetype}, and not one")
    return list_prices.pop(), max(days)


def products_of(client: Any, field: Field, region: str) -> list[str]:
    """Ask for the products of one field; ``client`` is boto3's for `pricing`."""
    named = {"usagetype": field.usagetype, **field.filters}
    if "-" in field.usagetype.partition(":")[0]:  # what has no region's prefix has one price for all regions
        named["regionCode"] = region
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in named.items()]
    pages = client.get_paginator("get_products").paginate(ServiceCode=field.service, Filters=filters)
    return [text for page in pages for text in page["PriceList"]]


def refreshed(client: Any, table: Table) -> Refreshed:
    """Look every price up, and return the table with what was found.

    Raises:
        OpsError: the price list had none of the prices.
    """
    new, changes, problems, days = copy.deepcopy(table), [], [], []
    old = prices(table)
    for path, field in fields(table).items():
        try:
            price, day = price_of(products_of(client, field, table["region"]), field)
        except OpsError as error:
            problems.append(f"{path} stays {old[path]:g}: {error}")
            continue
        days.append(day)
        _set(new, path, price)
        if price != old[path]:
            changes.append(f"{path}: {old[path]:g} -> {price:g}")
    if not days:
        raise OpsError("\n".join(["the price list gave no price; nothing was written", *problems]))
    new["as_of"], new["verified"] = max(days), not problems
    return Refreshed(table=new, changes=changes, problems=problems)


def _set(table: Table, path: str, price: float) -> None:
    *parents, last = path.split("/")
    inner = table
    for parent in parents:
        inner = inner[parent]
    inner[last] = price


def text(table: Table) -> str:
    """Return the table as the file has it."""
    return json.dumps(table, indent=2, ensure_ascii=False) + "\n"


def write(path: Path, table: Table) -> None:
    """Write the table."""
    path.write_text(text(table), encoding="utf-8")
