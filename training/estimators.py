"""Lists the classifiers that a model may end in: how each is made, which coding of the features it reads, its ranges.

The pipeline, the search and the registry read this table; a further kind is one more entry, and its trusted types in
:mod:`training.native`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from training.boosting import lightgbm_classifier, xgboost_classifier
from training.config import BuiltIn, ModelType

Encoding = Literal["one_hot", "ordinal"]
"""``one_hot``: a column of 0 and 1 per category, numbers standardised, in float64. ``ordinal``: the number of the
category, numbers as they are, in float32."""
Params = Mapping[str, int | float]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Values that a search may try, both ends included; ``log`` spreads them evenly by ratio."""

    low: int | float
    high: int | float
    log: bool = False

    @property
    def integer(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A built-in classifier. ``make`` takes the seed and hyper-parameters; ``space`` has a range for each default."""

    encoding: Encoding
    make: Callable[[int, Params], Any]
    defaults: Params
    space: Mapping[str, Range]


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """A classifier to fit: which coding of the features it reads, and how an unfitted one is made from a seed."""

    model_type: ModelType
    encoding: Encoding
    make: Callable[[int], Any]
    params: Params = field(default_factory=dict)
    """Hyper-parameters that differ from the defaults."""


def _logistic_regression(_seed: int, params: Params) -> LogisticRegression:
    # Few columns and many rows: Newton steps on the 45 x 45 Hessian converge in a handful of passes.
    return LogisticRegression(solver="newton-cholesky", max_iter=100, **params)


def _gradient_boosting(seed: int, params: Params) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **params)


_RATE: Final = Range(low=0.01, high=0.3, log=True)
_TREES: Final = Range(low=50, high=400)
_LEAVES: Final = Range(low=4, high=32, log=True)
_LEAF_ROWS: Final = Range(low=5, high=100, log=True)
_PENALTY: Final = Range(low=0.001, high=10.0, log=True)
_SHARE: Final = Range(low=0.5, high=1.0)

KINDS: Final[Mapping[BuiltIn, Kind]] = {
    "logistic_regression": Kind(
        encoding="one_hot",
        make=_logistic_regression,
        defaults={"C": 1.0},
        space={"C": Range(low=0.001, high=100.0, log=True)},
    ),
    "gradient_boosting": Kind(
        encoding="ordinal",
        make=_gradient_boosting,
        defaults={
            "learning_rate": 0.05,
            "max_iter": 200,
            "max_leaf_nodes": 8,
            "min_samples_leaf": 20,
            "l2_regularization": 1.0,
        },
        space={
            "learning_rate": _RATE,
            "max_iter": _TREES,
            "max_leaf_nodes": _LEAVES,
            "min_samples_leaf": _LEAF_ROWS,
            "l2_regularization": _PENALTY,
        },
    ),
    "xgboost": Kind(
        encoding="ordinal",
        make=xgboost_classifier,
        defaults={
            "learning_rate": 0.05,
            "n_estimators": 200,
            "max_depth": 3,
            "min_child_weight": 5.0,
            "reg_lambda": 1.0,
            "subsample": 1.0,
            "colsample_bytree": 1.0,
        },
        space={
            "learning_rate": _RATE,
            "n_estimators": _TREES,
            "max_depth": Range(low=2, high=6),
            "min_child_weight": Range(low=0.5, high=50.0, log=True),
            "reg_lambda": _PENALTY,
            "subsample": _SHARE,
            "colsample_bytree": _SHARE,
        },
    ),
    "lightgbm": Kind(
        encoding="ordinal",
        make=lightgbm_classifier,
        defaults={
            "learning_rate": 0.05,
            "n_estimators": 200,
            "num_leaves": 8,
            "min_child_samples": 20,
            "reg_lambda": 1.0,
            "subsample": 1.0,
            "colsample_bytree": 1.0,
        },
        space={
            "learning_rate": _RATE,
            "n_estimators": _TREES,
            "num_leaves": _LEAVES,
            "min_child_samples": _LEAF_ROWS,
            "reg_lambda": _PENALTY,
            "subsample": _SHARE,
            "colsample_bytree": _SHARE,
        },
    ),
}


def built_in(name: BuiltIn, params: Params | None = None) -> Estimator:
    """The built-in classifier of a name, with its defaults but for ``params``."""
    kind = KINDS[name]
    chosen = dict(params or {})
    return Estimator(
        model_type=name,
        encoding=kind.encoding,
        make=lambda seed: kind.make(seed, {**kind.defaults, **chosen}),
        params=chosen,
    )
