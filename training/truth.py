"""What is known about generated data: its configuration, and the best result that any model can reach on it.

The true probability of every generated customer is known, so the expected score of the Bayes-optimal classifier has a
closed form. It lies beside the data as ``<stem>.truth.json``; a model that scores higher has seen the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Probabilities = npt.NDArray[np.float64]

TRUTH_ENDING: Final = ".truth.json"
"""How the names of the files end that lie beside generated data."""
DECIMALS: Final = 9
"""Decimals in the stored truth: the last bits of a sum differ between processors."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GeneratorConfig(_Frozen):
    """What to generate.

    The defaults are the undisturbed world; each knob changes one thing and leaves every other draw as it was.

    Attributes:
        rows: customers to generate.
        seed: of the random stream; the same configuration gives the same bytes.
        fibre_share: covariate shift. Share of customers with fibre; DSL and no internet share the rest as before.
        prior_shift: prior shift. Added to the logit of every customer, so 0.7 about doubles the odds of churn.
        tenure_coefficient_change: concept drift. Added to the logit's coefficient per month of tenure.
        missing_total_share: share of blank ``total_charges`` among customers with a tenure of 1 month or more (those
            in month 0 are always blank). Blanks are missing completely at random.
        label_delay_share: share of the churned customers whose churn is not recorded yet, so that the file says 0.
    """

    rows: Annotated[int, Field(ge=1, le=100_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 7
    fibre_share: Annotated[float, Field(ge=0, le=1)] = 0.44
    prior_shift: Annotated[float, Field(ge=-10, le=10)] = 0.0
    tenure_coefficient_change: Annotated[float, Field(ge=-0.2, le=0.2)] = 0.0
    missing_total_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    label_delay_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Ceiling(_Frozen):
    """Expected scores of the true probabilities themselves, over the generated customers: no model does better."""

    auc: float
    brier: float
    log_loss: float


class Truth(_Frozen):
    """The truth of one generated file.

    Attributes:
        data_sha256: of the file this belongs to; ``None`` while the data is only in memory.
        coefficients: of the logit, with the knobs applied.
        fibre_share: realised.
        blank_totals: customers without ``total_charges``, those in month 0 included.
        mean_probability: mean of the true probabilities of churn.
        churn_rate: realised share of customers who churn, recorded or not.
        recorded_churn_rate: share of rows with ``churned`` = 1 in the file.
        hidden_churners: customers who churned but whose row still says 0.
        ceiling: for the recorded labels, the ones a file can be judged by.
        outcome_ceiling: for the outcomes; the same as ``ceiling`` unless labels are delayed.
    """

    format: Literal[1] = 1
    config: GeneratorConfig
    coefficients: dict[str, float]
    data_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    rows: int
    fibre_share: float
    blank_totals: int
    mean_probability: float
    churn_rate: float
    recorded_churn_rate: float
    hidden_churners: int
    ceiling: Ceiling
    outcome_ceiling: Ceiling


def ceiling(probability: Probabilities) -> Ceiling:
    """Expected scores of the Bayes-optimal classifier when label i is 1 with ``probability[i]``.

    AUC is the expected number of rightly ordered pairs over the expected number of pairs: with p ascending,
    sum_i p_i * sum_{j<i} (1 - p_j) over sum_{i != j} p_i (1 - p_j). Brier is mean p(1-p), log-loss the mean entropy.

    Args:
        probability: true probabilities, shape (rows,), strictly between 0 and 1.
    """
    p = np.sort(probability)
    stay = 1.0 - p
    variance = p * stay
    below = np.cumsum(stay) - stay
    pairs = p.sum() * stay.sum() - variance.sum()
    return Ceiling(
        # One customer makes no pair; every order is right.
        auc=stored(float(p @ below) / pairs) if len(p) > 1 else 1.0,
        brier=stored(variance.mean()),
        log_loss=stored(-(p * np.log(p) + stay * np.log1p(-p)).mean()),
    )


def stored(value: float) -> float:
    return round(float(value), DECIMALS)


def truth_path(data: Path) -> Path:
    """Path of the truth of a data file."""
    return data.with_name(data.stem + TRUTH_ENDING)
