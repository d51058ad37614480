"""Writes a contract in the forms of others: canonical JSON, JSON Schema, and the Open Data Contract Standard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from app.contract import Contract
from app.customers import customer_model
from app.feature import Feature
from training.contract_writer import flow

_ODCS: Final = "v3.2.0"
PREFIX: Final = "churn."
"""Begins the name of each customProperty of ours."""
_AT_HOME: Final = ("contract", "name", "description", "key", "features")
"""Keys of a contract that have a home in the standard."""
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def canonical(contract: Contract) -> str:
    """The canonical form, as a model carries it; ``app/telco.json`` is that of ``contracts/telco.yaml``."""
    return contract.canonical.decode() + "\n"


def contract_schema() -> str:
    """JSON Schema of a contract's file, for editors."""
    schema: dict[str, Any] = Contract.model_json_schema()
    schema["title"] = "Contract of customers"
    return _json({"$schema": _DIALECT} | schema)


def customer_schema(contract: Contract) -> str:
    """JSON Schema of one customer in a request."""
    return _json({"$schema": _DIALECT} | customer_model(contract).model_json_schema())


def odcs(contract: Contract) -> str:
    """The contract by the Open Data Contract Standard 3.2, as YAML that readers of YAML 1.1 understand too.

    What the standard has no home for stands in customProperties, whose names begin with ``churn.``.
    """
    document: dict[str, Any] = {
        "version": "1.0.0",
        "kind": "DataContract",
        "apiVersion": _ODCS,
        "id": f"churn-{contract.name}",
        "name": contract.name,
        "status": "active",
    }
    if contract.description:
        document["description"] = {"purpose": contract.description}
    properties = [_key(contract), *(_property(feature, contract.example) for feature in contract.features)]
    document["schema"] = [{"name": contract.name, "logicalType": "object", "properties": properties}]
    rest = contract.model_dump(mode="json", exclude_defaults=True, exclude={*_AT_HOME})
    document["customProperties"] = _custom(rest)
    return _yaml(document)


def _key(contract: Contract) -> dict[str, Any]:
    key = contract.key
    rest = key.model_dump(mode="json", exclude_defaults=True, exclude={"name", "description"})
    options = {"pattern": key.pattern, "minLength": 1, "maxLength": key.max_length}
    property_: dict[str, Any] = {"name": key.name, "logicalType": "string", "primaryKey": True, "required": False}
    property_ |= {"description": key.description, "logicalTypeOptions": options}
    return property_ | ({"customProperties": _custom(rest)} if rest else {})


def _property(feature: Feature, example: Mapping[str, Any]) -> dict[str, Any]:
    property_: dict[str, Any] = {
        "name": feature.name,
        "logicalType": "string" if feature.is_category else feature.type,
        "required": not feature.nullable,
    }
    if feature.description:
        property_["description"] = feature.description
    if feature.is_category:
        property_["enum"] = [{"value": category} for category in feature.categories]
    elif feature.type != "boolean":
        property_["logicalTypeOptions"] = {"minimum": feature.minimum, "maximum": feature.maximum}
    if example.get(feature.name) is not None:
        property_["examples"] = [example[feature.name]]
    rest = feature.model_dump(mode="json", exclude_defaults=True, include={"unit", "blank", "aliases", "spellings"})
    return property_ | ({"customProperties": _custom(rest)} if rest else {})


def _custom(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"property": PREFIX + key, "value": value} for key, value in values.items()]


def _yaml(value: Mapping[str, Any], indent: int = 0, *, exact: bool = False) -> str:
    """Block style down to lists of plain values, which stand in one line.

    Args:
        value: what to write.
        indent: in steps of two spaces.
        exact: whether 5.0 stays apart from 5, as it does in examples.
    """
    pad, lines = "  " * indent, []
    for key, part in value.items():
        within = exact or key in {"examples", "value"}
        if isinstance(part, list) and part and all(isinstance(item, dict) for item in part):
            lines.append(f"{pad}{key}:")
            lines += [f"{pad}  - {_yaml(item, indent + 2, exact=within).lstrip()}" for item in part]
        elif isinstance(part, dict) and part:
            lines += [f"{pad}{flow(key)}:", _yaml(part, indent + 1, exact=within)]
        else:
            lines.append(f"{pad}{flow(key)}: {flow(part, exact=within)}")
    return "\n".join(lines) + ("" if indent else "\n")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
