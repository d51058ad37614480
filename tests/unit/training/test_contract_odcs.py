"""Contracts of the Open Data Contract Standard: ours go there and come back equal, others are a start."""

from __future__ import annotations

import contextlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from support.changed_json import changed
from support.contracts import contracts
from support.paths import ROOT

from app.contract import Contract
from training import contract_yaml
from training.contract_export import odcs
from training.contract_file import ContractError, parse, read
from training.contract_odcs import converted, read_odcs

STANDARD = jsonschema_rs.validator_for(
    json.loads(resources.files("open_data_contract_standard").joinpath("schema.json").read_bytes())
)
SHIPPED = [read(ROOT / "contracts" / f"{name}.yaml") for name in ("bank", "telco")]


@pytest.mark.parametrize("contract", SHIPPED, ids=lambda contract: contract.name)
def test_a_shipped_contract_comes_back_equal_and_fits_the_standard(contract: Contract) -> None:
    text = odcs(contract)
    # Both kinds of readers: in YAML 1.1, No without quotes would be false.
    for document in (contract_yaml.parse(text).value, yaml.safe_load(text)):
        assert [error.message for error in STANDARD.iter_errors(document)] == []
    assert contract_yaml.parse(text).value == yaml.safe_load(text)
    assert parse(converted(text, "a.yaml"), "").canonical == contract.canonical


@settings(max_examples=40, deadline=None)
@given(contracts())
def test_any_contract_comes_back_equal(contract: Contract) -> None:
    assert parse(converted(odcs(contract), "a.yaml"), "").canonical == contract.canonical


def test_everything_beside_the_features_comes_back_too() -> None:
    document = json.loads(SHIPPED[0].canonical) | {
        "key": {"name": "email", "letters": "unicode", "symbols": "@._+-", "max_length": 200, "aliases": ["E-Mail"]},
        "label": {"name": "left", "churned": ["gone"], "stayed": ["here"]},
        "as_of": "Stichtag",
        "reading": {"decimal": ",", "missing": ["?"], "encoding": "cp1252"},
    }
    document["example"] = {k: v for k, v in document["example"].items() if k != "customer_id"}
    contract = Contract.model_validate_json(json.dumps(document))
    assert parse(converted(odcs(contract), "a.yaml"), "").canonical == contract.canonical


FOREIGN: dict[str, Any] = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "1",
    "version": "1.0.0",
    "status": "active",
    "name": "Retail Customers",
    "description": {"purpose": "Who buys here."},
    "servers": [{"server": "warehouse", "type": "snowflake"}],
    "schema": [
        {
            "name": "customers",
            "properties": [
                {"name": "CustomerNo", "logicalType": "string", "primaryKey": True, "required": True},
                {
                    "name": "Plan",
                    "logicalType": "string",
                    "required": True,
                    "quality": [{"metric": "invalidValues", "arguments": {"validValues": ["basic", "plus"]}}],
                    "classification": "internal",
                },
                {
                    "name": "region",
                    "logicalType": "string",
                    "customProperties": [{"property": "enum", "value": ["N", "S"]}],
                },
                {"name": "age", "logicalType": "integer", "logicalTypeOptions": {"minimum": 18, "maximum": 120}},
                {
                    "name": "spend",
                    "physicalType": "DECIMAL(9,2)",
                    "required": False,
                    "logicalTypeOptions": {"minimum": 0, "multipleOf": 0.01},
                    "examples": [-3, 12.5],
                },
                {"name": "newsletter", "physicalType": "boolean", "required": True},
                {"name": "comment", "logicalType": "string"},
                {"name": "first_order", "logicalType": "date"},
                {"name": "has_churned", "logicalType": "boolean"},
            ],
        }
    ],
}


def test_a_contract_of_another_company_is_a_start() -> None:
    text = converted(json.dumps(FOREIGN), "retail.odcs.yaml")
    contract = parse(text, "")
    assert (contract.name, contract.description) == ("retail-customers", "Who buys here.")
    assert (contract.key.name, contract.key.aliases) == ("customer_no", ("CustomerNo",))
    assert contract.label.aliases == ("has_churned",)
    assert [(f.name, f.type, f.blank) for f in contract.features] == [
        ("plan", "category", None),
        ("region", "category", None),
        ("age", "integer", None),
        ("spend", "number", "median"),
        ("newsletter", "boolean", None),
    ]
    assert contract.features[0].categories == ("basic", "plus")
    assert contract.features[1].categories == ("N", "S")
    assert contract.ignored == ("comment", "first_order")
    assert contract.example["spend"] == 12.5
    for comment in (
        "# Not taken over: servers.",
        "# Not taken over: classification.",
        "# Not taken over: multipleOf.",
        "# The source has no bounds on both sides: these are the widest possible. Set them.",
        "# comment: a text without a list of its values.",
        "# first_order: its type is date; as_of can name it if a row was known on that day.",
    ):
        assert comment in text


@pytest.mark.parametrize("version", ["v3.0.0", "v3.0.2", "v3.1.0", "3.2.0"])
def test_every_version_of_the_third_standard_is_read(version: str) -> None:
    assert converted(json.dumps(FOREIGN | {"apiVersion": version}), "a.json")


@pytest.mark.parametrize(
    ("change", "options", "expected"),
    [
        ({"apiVersion": "v2.2.2"}, {}, "apiVersion is 'v2.2.2'; expected the Open Data Contract Standard v3.0 to v3.2"),
        ({"apiVersion": None}, {}, "expected the Open Data Contract Standard"),
        ({"schema": []}, {}, "expected one schema object; choose with --table from: none"),
        ({"schema": FOREIGN["schema"] * 2}, {}, "choose with --table from: customers, customers"),
        ({}, {"table": "orders"}, "choose with --table from: customers"),
        ({}, {"label": "left"}, "there is no property 'left'; there are CustomerNo, Plan"),
        ({"schema": [{"name": "a", "properties": [{"name": "b", "logicalType": "date"}]}]}, {}, "features"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(change: dict[str, Any], options: dict[str, str], expected: str) -> None:
    with pytest.raises(ContractError) as caught:
        converted(json.dumps(FOREIGN | change), "a.yaml", **options)
    assert expected in str(caught.value)


def test_other_yaml_is_named_with_its_file(tmp_path: Path) -> None:
    for text, expected in [("a: [", "not YAML"), ("3", "there is no apiVersion")]:
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(ContractError) as caught:
            read_odcs(tmp_path / "a.yaml")
        assert expected in str(caught.value)
        assert "a.yaml" in str(caught.value)


@settings(max_examples=80, deadline=None)
@given(changed(FOREIGN, 1))
def test_whatever_is_changed_it_is_taken_over_or_refused(document: dict[str, Any]) -> None:
    with contextlib.suppress(ContractError):
        parse(converted(json.dumps(document), "a.yaml"), "what was taken over")


def test_a_list_that_is_none_is_not_a_list_of_categories() -> None:
    odd = {"name": "odd", "logicalType": "string", "customProperties": [{"property": "enum", "value": 5}]}
    objects = [FOREIGN["schema"][0] | {"properties": [*FOREIGN["schema"][0]["properties"], odd]}]
    assert "odd" in parse(converted(json.dumps(FOREIGN | {"schema": objects}), "a.yaml"), "").ignored


def test_another_shape_is_named_with_its_line() -> None:
    text = json.dumps(FOREIGN, indent=1).replace('"minimum": 18', '"minimum": "18"')
    line = text[: text.index('"18"')].count("\n") + 1
    with pytest.raises(ContractError, match="should be a valid") as caught:
        converted(text, "a.yaml")
    assert {(p.line, p.path.rpartition(".")[0]) for p in caught.value.problems} == {
        (line, "schema[0].properties[3].logicalTypeOptions.minimum")
    }
