"""Writes a contract in the forms of others: canonical JSON, JSON Schema, and the Open Data Contract Standard."""

from __future__ import annotations

import json
from typing import Any, Final

from app.contract import Contract
from app.customers import customer_model

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def canonical(contract: Contract) -> str:
    """The canonical form, as a model carries it; ``app/telco.json`` is that of ``contracts/telco.yaml``."""
    return contract.canonical.decode() + "\n"


def contract_schema() -> str:
    """JSON Schema of a contract's file, for editors."""
    schema: dict[str, Any] = Contract.model_json_schema()
    schema["title"] = "Contract of customers"
    return _json({"$schema": DIALECT} | schema)


def customer_schema(contract: Contract) -> str:
    """JSON Schema of one customer in a request."""
    return _json({"$schema": DIALECT} | customer_model(contract).model_json_schema())


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
