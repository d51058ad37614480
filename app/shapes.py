"""The shapes of the prediction routes of one contract, for the OpenAPI page and for clients."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, create_model

from app.contract import Contract
from app.customers import STRICT, customer_model
from app.explain import Explained

_Probability = Annotated[float, Field(ge=0, le=1, description="Probability that the customer leaves.")]
_Decision = Annotated[
    Literal["churn", "stay"], Field(description="'churn' at or above the threshold that the cost model chose.")
]
_Band = Annotated[Literal["low", "medium", "high"], Field(description="Band of the probability.")]


class Prediction(BaseModel):
    """One customer's prediction; :func:`shapes` adds the customer's key."""

    churn_probability: _Probability
    decision: _Decision
    risk_band: _Band


class SinglePrediction(Prediction):
    """The answer to a single prediction."""

    threshold: float
    model_version: str
    explanation: Explained | None = Field(default=None, description="Only with ?explain=true.")


NAMES: Final = ("Customer", "BatchRequest", "SinglePrediction", "BatchPrediction")
"""The shapes of one model: what its two prediction routes take and give."""


def shapes(contract: Contract, max_rows: int, prefix: str = "") -> dict[str, type[BaseModel]]:
    """Build the shapes of a contract by the names in NAMES; ``prefix`` distinguishes several models on one page."""
    key: dict[str, Any] = {contract.key.name: (str | None, ...)}
    customer: Any = customer_model(contract, f"{prefix}Customer")
    prediction: Any = create_model(f"{prefix}Prediction", __base__=Prediction, **key)
    rows = Field(min_length=1, max_length=max_rows, examples=[[contract.customer]])
    request: dict[str, Any] = {"customers": (Annotated[list[customer], rows], ...)}
    batch: dict[str, Any] = {
        "model_version": (str, ...),
        "threshold": (float, ...),
        "count": (int, ...),
        "predictions": (list[prediction], ...),
    }
    return {
        "Customer": customer,
        "BatchRequest": create_model(
            f"{prefix}BatchRequest", __config__=STRICT, __doc__="Customers to be scored together.", **request
        ),
        "SinglePrediction": create_model(f"{prefix}SinglePrediction", __base__=SinglePrediction, **key),
        "BatchPrediction": create_model(
            f"{prefix}BatchPrediction", __doc__="Predictions in the order of the request.", **batch
        ),
    }
