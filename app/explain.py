"""Explanations of a score: the two kinds of explainer that a bundle can hold, and how they explain a customer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from app.bundle import Frozen
from app.contract import Contract, Features, Scores


class Linear(Frozen):
    """A model whose logit is ``base`` plus one contribution per feature, exactly.

    ``contributions[f]`` is, for a category, a table by code; for a number ``[slope, centre]``, giving slope * (x -
    centre). Contributions are measured from the training mean: ``base`` is the logit of the average customer.
    """

    method: Literal["linear"] = "linear"
    base: float
    contributions: dict[str, list[float]]


class Occlusion(Frozen):
    """For any other model: a feature's contribution is the change of the logit when it is set to ``reference``.

    ``reference`` holds the coded median or most frequent value of each feature, in the order of the contract. The
    contributions need not add up to the logit.
    """

    method: Literal["occlusion"] = "occlusion"
    reference: list[float]


class Explain(Frozen):
    """The file ``explain.json`` of a bundle."""

    explainer: Annotated[Linear | Occlusion, Field(discriminator="method")]


# A dataclass, and not a pydantic model: orjson writes it as it is, and pydantic describes it on the OpenAPI page.
@dataclass(frozen=True, kw_only=True)
class Explained:
    """Why: contributions to the logit of the probability."""

    method: Annotated[
        Literal["linear", "occlusion"],
        Field(
            description="'linear': base and contributions add up to the logit. 'occlusion': the change of the logit "
            "when the feature is set to the reference customer's value; they need not add up."
        ),
    ]
    base: Annotated[
        float, Field(description="The logit of the average ('linear') or reference ('occlusion') customer.")
    ]
    contributions: Annotated[dict[str, float], Field(description="By feature; positive pushes towards churn.")]


def explain(
    explainer: Linear | Occlusion, contract: Contract, features: Features, score: Callable[[Features], Scores]
) -> Explained:
    """Contribution of each feature to the logit of one customer.

    Args:
        features: the coded customer, shape (1, features).
        score: the model's own scoring; only occlusion uses it.
    """
    if isinstance(explainer, Linear):
        return _linear(explainer, contract, features[0])
    return _occlusion(explainer, contract, features, score)


def _linear(explainer: Linear, contract: Contract, row: npt.NDArray[np.float32]) -> Explained:
    contributions = {}
    for feature, value in zip(contract.features, row.tolist(), strict=True):
        weights = explainer.contributions[feature.name]
        if feature.is_category:
            contributions[feature.name] = weights[int(value)]
        else:
            slope, centre = weights
            contributions[feature.name] = slope * (value - centre)
    return Explained(method=explainer.method, base=explainer.base, contributions=contributions)


def _occlusion(
    explainer: Occlusion, contract: Contract, features: Features, score: Callable[[Features], Scores]
) -> Explained:
    rows = np.repeat(features, len(contract.features) + 2, axis=0)
    reference = np.asarray(explainer.reference, dtype=np.float32)
    np.fill_diagonal(rows[: len(contract.features)], reference)
    rows[-1] = reference
    logits = [_logit(float(p)) for p in score(rows)]
    whole = logits[-2]
    contributions = {name: whole - logits[i] for i, name in enumerate(contract.names)}
    return Explained(method=explainer.method, base=logits[-1], contributions=contributions)


def _logit(p: float) -> float:
    p = min(max(p, 1e-7), 1 - 1e-7)
    return math.log(p / (1 - p))
