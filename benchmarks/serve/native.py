"""What every peer does with a request: customers as JSON objects, a pandas frame, scikit-learn's predict_proba.

Runs in each peer's own environment, so it imports nothing of the project. The benchmark gives the file of the
registered version's native model in BENCH_SKOPS and the types it may hold, comma-separated, in BENCH_TRUSTED.
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
