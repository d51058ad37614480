"""A graph as a fitted scikit-learn classifier, for what is computed from any model: importances and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

from app.contract import Contract
from training.data import encode_frame
from training.export import onnx_scores


class GraphModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is published without types
    """Scores customers whose blanks are filled by a graph in the form that serving runs."""

    def __init__(self, graph: bytes, contract: Contract, medians: Mapping[str, float]) -> None:
        """Wrap a graph; ``medians`` are of the training rows, for the features whose blanks count as one."""
        self.graph = graph
        self.contract = contract
        self.medians = medians
        self.classes_ = np.array([0, 1])

    def fit(self, *_: Any) -> GraphModel:
        """Refuse: scikit-learn only asks whether there is such a method.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("this model was fitted elsewhere")

    def predict_proba(self, customers: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Probabilities of staying and of churning, shape (rows, 2)."""
        churn = onnx_scores(self.graph, encode_frame(self.contract, customers, self.medians))
        return np.column_stack([1 - churn, churn])
