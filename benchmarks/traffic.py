"""The customers that are sent, and the bodies that hold them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from app.schemas import telco
from training.generate import generate
from training.truth import GeneratorConfig

CustomerJson = dict[str, str | int | float]
SEED: Final = 20_000_003
"""Another seed than the training data's: the model was fitted on other customers."""


def customers(rows: int) -> list[CustomerJson]:
    """Generate ``rows`` distinct customers with all 19 features, as JSON values.

    Customers with a blank total are left out: only the API has a rule for them, and the peers do not.
    """
    spare = rows // 10 + 100
    frame = generate(GeneratorConfig(rows=rows + spare, seed=SEED)).customers
    frame = frame[[f.name for f in telco().features]].dropna().head(rows)
    for feature in telco().features:
        kind = object if feature.is_category else int if feature.integer else float
        frame[feature.name] = frame[feature.name].astype(kind)
    # DataFrame.to_dict returns Python's own numbers, which JSON can hold.
    records: list[CustomerJson] = frame.to_dict("records")  # type: ignore[assignment]  # keys are the feature names
    return records


def one(customer: CustomerJson) -> bytes:
    """The customer itself, as the API accepts it."""
    return json.dumps(customer).encode()


def batch(customers: Sequence[CustomerJson]) -> bytes:
    """``{"customers": [...]}``."""
    return json.dumps({"customers": customers}).encode()


def dataframe_records(customers: Sequence[CustomerJson]) -> bytes:
    """MLflow's request format."""
    return json.dumps({"dataframe_records": customers}).encode()


def v2(customers: Sequence[CustomerJson]) -> bytes:
    """The V2 inference protocol with the pandas content type: one input of shape (rows, 1) for each column."""
    inputs: list[dict[str, Any]] = []
    for feature in telco().features:
        values = [customer[feature.name] for customer in customers]
        column: dict[str, Any] = {"name": feature.name, "shape": [len(values), 1], "data": values}
        if feature.is_category:
            column |= {"datatype": "BYTES", "parameters": {"content_type": "str"}}
        else:
            column["datatype"] = "INT64" if feature.integer else "FP64"
        inputs.append(column)
    return json.dumps({"parameters": {"content_type": "pd"}, "inputs": inputs}).encode()
