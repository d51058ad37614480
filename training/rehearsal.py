"""Rehearses a classifier of one's own on a few customers, so that what cannot be served fails before the long fit."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
import pandas as pd

from app.contract import Contract
from training import native, pipeline
from training.boosting import EstimatorError, words
from training.data import encode_frame
from training.estimators import Estimator
from training.export import onnx_scores
from training.onnx_graph import to_onnx
from training.pipeline import Labels

_ROWS_OF_A_CLASS: Final = 200
_FOLDS: Final = 2


def rehearse(
    path: str, estimator: Estimator, contract: Contract, customers: pd.DataFrame, churned: Labels, *, seed: int
) -> None:
    """Fit, save and export the classifier on at most 400 customers.

    Whether native model and graph agree is left to the parity gate, which compares every row.

    Args:
        path: what the user calls it, for messages.
        customers: of the training part, every blank filled.

    Raises:
        EstimatorError: it cannot be fitted, converted or saved; in one line, with the names of its types.
    """
    rows = np.sort(np.concatenate([np.flatnonzero(churned == c)[:_ROWS_OF_A_CLASS] for c in (0, 1)]))
    few = customers.iloc[rows]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on so few rows it may not converge; the real fit says so again
            model = pipeline.fit(estimator, contract, few, churned[rows], seed=seed, calibration_folds=_FOLDS)
    except Exception as error:  # whatever the classifier does
        raise EstimatorError(f"{path} cannot be fitted to {len(rows)} customers: {words(error)}") from error
    classifier = pipeline.classifier_parts(model)[0]
    name = f"{type(classifier).__module__}.{type(classifier).__qualname__}"
    try:
        onnx_scores(to_onnx(model, contract), encode_frame(contract, few, {}))
    except Exception as error:  # converters and ONNX Runtime raise dozens of kinds
        raise EstimatorError(
            f"{path}: a {name} on {estimator.encoding} features cannot be converted to ONNX ({words(error)}). "
            "What can be: most classifiers of scikit-learn, XGBoost and LightGBM, and pipelines that end in one; "
            "trees of scikit-learn need the ordinal coding"
        ) from error
    try:
        untrusted = native.untrusted_types(model, estimator.model_type)
    except Exception as error:  # skops raises what saving an unknown object raises
        raise EstimatorError(f"{path}: a {name} cannot be saved by skops ({words(error)})") from error
    if untrusted:
        raise EstimatorError(
            f"{path}: the saved model would hold types that nobody may load without trusting them: "
            f"{', '.join(untrusted)}. Use scikit-learn's own classes and functions instead"
        )
