"""Makes the boosted trees of XGBoost and LightGBM, which are installed only where they are wanted."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any, Final

from sklearn.base import BaseEstimator

from training.threads import openmp_threads


class EstimatorError(Exception):
    """A classifier that cannot be used; the message says which and what to do."""


def words(error: Exception) -> str:
    """The kind of an error and its first line, for a message on one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


_HARMLESS: Final[Mapping[str, Mapping[str, tuple[Any, ...]]]] = {
    "HistGradientBoostingClassifier": {"categorical_features": (None, "from_dtype")},
    "XGBClassifier": {
        "booster": (None, "gbtree"),
        "num_parallel_tree": (None, 1),
        "missing": (None,),
        "objective": (None, "binary:logistic"),
    },
    "LGBMClassifier": {
        **dict.fromkeys(("boosting_type", "boosting", "boost"), (None, "gbdt", "gbrt", "dart")),
        **dict.fromkeys(("linear_tree", "linear_trees", "zero_as_missing"), (None, False)),
    },
}
"""Values of parameters that the converters understand. Others are exported as another model, often without an error:
with linear trees of LightGBM scores were wrong by 0.14, with its random forest by 0.79."""
_REFUSED: Final = ("XGBRFClassifier",)
"""Classes that set such a parameter themselves."""


def unconvertible(classifier: Any) -> str | None:
    """What in a classifier, or in one inside it, converters are known to get wrong; None if nothing is."""
    inner = classifier.get_params(deep=True).values()
    for part in (classifier, *(value for value in inner if isinstance(value, BaseEstimator))):
        for kind in type(part).__mro__:
            if kind.__name__ in _REFUSED:
                return f"{kind.__name__} cannot be converted to ONNX: use XGBClassifier, or scikit-learn's forest"
            for name, harmless in _HARMLESS.get(kind.__name__, {}).items():
                value = part.get_params(deep=False).get(name)
                if not _among(value, harmless):
                    shown = " or ".join(repr(v) for v in harmless if v is not None) or "the default"
                    return f"{kind.__name__}({name}={value!r}) is converted to another model: use {shown}"
    return None


def _among(value: Any, harmless: tuple[Any, ...]) -> bool:
    missing = isinstance(value, float) and math.isnan(value)  # XGBoost's own sign of a missing value
    return missing or any(value is known or (value == known) is True for known in harmless)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: its binary part lacks a library of the system
        raise EstimatorError(
            f"{name} cannot be imported ({error}): run `make boosting`, or install the extra 'boosting' of this project"
        ) from error


def xgboost_classifier(seed: int, params: Mapping[str, int | float]) -> Any:
    """An unfitted XGBoost classifier; the number of threads is that of the process (:mod:`training.threads`).

    Raises:
        EstimatorError: XGBoost is not installed.
    """
    _library("xgboost")
    _library("onnxmltools")
    from training.xgboost_margin import MarginClassifier  # noqa: PLC0415  # imports XGBoost

    return MarginClassifier(tree_method="hist", random_state=seed, n_jobs=openmp_threads(), **params)


def lightgbm_classifier(seed: int, params: Mapping[str, int | float]) -> Any:
    """An unfitted LightGBM classifier; the number of threads is that of the process (:mod:`training.threads`).

    Raises:
        EstimatorError: LightGBM is not installed.
    """
    _library("onnxmltools")
    return _library("lightgbm").LGBMClassifier(
        deterministic=True,  # the same trees for any number of threads, together with the next
        force_row_wise=True,
        subsample_freq=1,  # without it subsample would count for nothing
        random_state=seed,
        n_jobs=openmp_threads(),
        verbose=-1,
        **params,
    )
