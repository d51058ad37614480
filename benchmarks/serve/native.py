"""The work that every peer does for a request: JSON objects to a pandas frame, and scikit-learn's predict_proba.

Runs in each peer's own environment, so it imports nothing of the project. The benchmark sets BENCH_SKOPS to the file of
the registered version's native model, and BENCH_TRUSTED to the types that it may hold, separated by commas.
"""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
import skops.io


def load() -> Any:
    """The registered model's scikit-learn pipeline."""
    trusted = [name for name in os.environ["BENCH_TRUSTED"].split(",") if name]
    return skops.io.load(os.environ["BENCH_SKOPS"], trusted=trusted)


def score(model: Any, customers: list[dict[str, Any]]) -> list[float]:
    """The probability of churn of each customer."""
    probabilities: list[float] = model.predict_proba(pd.DataFrame(customers))[:, 1].tolist()
    return probabilities
