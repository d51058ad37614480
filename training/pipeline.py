"""Split the customers, and build, choose and fit the model: a stock scikit-learn pipeline over the raw features.

Every model ends in a sigmoid calibration on out-of-fold scores (Platt 1999). A logistic regression is calibrated
by its own loss, and there the sigmoid comes out close to the identity; boosting trained too long is not, and there
it repairs the scores. One shape for all keeps the export and the explanation simple: a calibrated logistic
regression stays exactly linear in the logit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from app.contract import Contract, Scores
from training import estimators
from training.config import BuiltIn, ModelType
from training.estimators import Encoding, Estimator, Params

Labels = npt.NDArray[np.int8]
Indices = npt.NDArray[np.int64]
Folds = list[tuple[Indices, Indices]]
"""Rows to fit on and rows to score, of each fold."""

ENCODE: Final = "encode"
CLASSIFY: Final = "classify"
CATEGORY_BRANCH: Final = "categories"
NUMBER_BRANCH: Final = "numbers"
SCALE: Final = "scale"
DECISION: Final = "decision_function"
"""Method whose scores the calibration prefers to probabilities."""

_CHUNK_ROWS: Final = 100_000
"""Rows scored at once: bounds the memory that one-hot columns take."""


def customer_ranks(ids: pd.Series | None, churned: Labels, seed: int) -> Scores:
    """A seeded rank in [0, 1) for each row, the same for all rows of a customer, uniform within each class.

    Cutting the ranks at a share gives a part that is stratified and grouped by customer. The order comes from a
    hash of the id, not from the row's place, so a customer mostly stays in the same part when data is added: the
    holdout of one version holds few customers another version was trained on. Linear in the rows, where
    ``StratifiedGroupKFold`` is quadratic in the customers.

    Args:
        ids: customer id of each row, or None when each row is a customer of its own.
        churned: 0 or 1 of each row, shape (rows,). A customer belongs to class 1 when any of the rows does.
    """
    if ids is None:
        groups = np.arange(len(churned))
        keys = np.random.default_rng(seed).permutation(len(churned)).astype(np.uint64)
    else:
        groups, unique = pd.factorize(ids)
        keys = pd.util.hash_array(unique.to_numpy(dtype=object), hash_key=f"{seed:016d}"[-16:], categorize=False)
    strata = np.zeros(len(keys), dtype=np.int8)
    np.maximum.at(strata, groups, churned)
    ranks = np.empty(len(keys))
    for stratum in (0, 1):
        members = np.flatnonzero(strata == stratum)
        ranks[members[np.argsort(keys[members], kind="stable")]] = np.arange(len(members)) / max(len(members), 1)
    return ranks[groups]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Row numbers of the two parts, in an order unrelated to the file's."""

    train: Indices
    test: Indices


def split(ids: pd.Series | None, churned: Labels, *, test_share: float, seed: int) -> Split:
    """Hold out ``test_share`` of the customers of each class; no customer is in both parts."""
    ranks = customer_ranks(ids, churned, seed)
    order = np.argsort(ranks, kind="stable")
    tested = ranks[order] < test_share
    return Split(train=order[~tested], test=order[tested])


def folds(
    ids: pd.Series | None, churned: Labels, *, count: int, rows_max: int, seed: int
) -> Iterator[tuple[Indices, Indices]]:
    """Row numbers to fit on and to score, for each of ``count`` folds over at most about ``rows_max`` rows.

    Stratified and grouped like :func:`split`, but with another seed, so that the folds are not slices of the split.
    """
    ranks = customer_ranks(ids, churned, (seed + 1) % 2**32)
    rows = np.flatnonzero(ranks < min(1.0, rows_max / len(churned)))
    fold = (ranks[rows] / ranks[rows].max() * count).astype(int).clip(max=count - 1)
    for i in range(count):
        yield rows[fold != i], rows[fold == i]


def _rounded(*kinds: type) -> list[tuple[str, FunctionTransformer]]:
    """Steps that round to float32, as numbers of a client reach the served model, and continue in the last kind.

    Trees would otherwise compare other values with their thresholds than serving does, and the logit of a very large
    bill would differ by more than the scores may.
    """
    return [(k.__name__, FunctionTransformer(k, feature_names_out="one-to-one")) for k in kinds]


def branches(contract: Contract) -> dict[str, list[str]]:
    """The features of each branch of the encoder, in the contract's order; a branch without any is left out."""
    parts = {
        CATEGORY_BRANCH: [f.name for f in contract.features if f.is_category],
        NUMBER_BRANCH: [f.name for f in contract.features if not f.is_category],
    }
    return {branch: names for branch, names in parts.items() if names}


def _encoder(encoding: Encoding, contract: Contract) -> ColumnTransformer:
    categories = [list(f.categories) for f in contract.features if f.is_category]
    if encoding == "one_hot":
        steps = {
            CATEGORY_BRANCH: OneHotEncoder(categories=categories, sparse_output=False),
            NUMBER_BRANCH: Pipeline([*_rounded(np.float32, np.float64), (SCALE, StandardScaler())]),
        }
    else:
        steps = {
            CATEGORY_BRANCH: OrdinalEncoder(categories=categories, dtype=np.float32),
            NUMBER_BRANCH: Pipeline(_rounded(np.float32)),
        }
    return ColumnTransformer([(branch, steps[branch], names) for branch, names in branches(contract).items()])


def encoding_of(model: Pipeline) -> Encoding:
    """Which coding a fitted model's classifier reads."""
    for _, step, _ in model[ENCODE].transformers_:
        if isinstance(step, OneHotEncoder) or (isinstance(step, Pipeline) and SCALE in step.named_steps):
            return "one_hot"
    return "ordinal"


def build(
    model: BuiltIn | Estimator, contract: Contract, *, seed: int, calibration_folds: int | Folds | None = None
) -> Pipeline:
    """The unfitted model: raw features in, calibrated probabilities out; the classifier's own without folds.

    ``ensemble=False`` keeps one classifier, fitted on all rows, and one sigmoid, fitted on out-of-fold scores.

    Args:
        model: a classifier, or the name of a built-in one with its defaults.
    """
    estimator = model if isinstance(model, Estimator) else estimators.built_in(model)
    classifier = estimator.make(seed)
    if calibration_folds is not None:
        classifier = CalibratedClassifierCV(classifier, method="sigmoid", ensemble=False, cv=calibration_folds)
    return Pipeline([(ENCODE, _encoder(estimator.encoding, contract)), (CLASSIFY, classifier)])


def fit(
    model: BuiltIn | Estimator,
    contract: Contract,
    customers: pd.DataFrame,
    churned: Labels,
    *,
    seed: int,
    calibration_folds: int | Folds,
) -> Pipeline:
    """Fit and calibrate on ``customers``; see :func:`build`.

    Args:
        model: a classifier, or the name of a built-in one with its defaults.
        contract: names the features.
        customers: every blank filled.
        churned: 0 or 1 of each row.
        seed: of the classifier.
        calibration_folds: how many random folds, or the folds themselves, in each of which a row is scored once.
    """
    fitted = build(model, contract, seed=seed, calibration_folds=calibration_folds).fit(customers, churned)
    if not isinstance(calibration_folds, int):
        # The model is stored with its settings: their number, and not a million row numbers.
        fitted[CLASSIFY].set_params(cv=len(calibration_folds))
    return fitted


def predict(model: Pipeline, customers: pd.DataFrame) -> Scores:
    """Probability of churn by the native model, shape (rows,)."""
    parts = [
        model.predict_proba(customers.iloc[start : start + _CHUNK_ROWS])[:, 1]
        for start in range(0, len(customers), _CHUNK_ROWS)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """AUC of one candidate on each fold."""

    model_type: ModelType
    auc: tuple[float, ...]
    params: Params = field(default_factory=dict)
    """Hyper-parameters that differ from the defaults."""

    @property
    def mean(self) -> float:
        return float(np.mean(self.auc))

    @property
    def deviation(self) -> float:
        return float(np.std(self.auc, ddof=1))


def cross_validate(
    model: BuiltIn | Estimator,
    contract: Contract,
    customers: pd.DataFrame,
    churned: Labels,
    parts: Folds,
    *,
    seed: int,
) -> CrossValidation:
    """AUC on each fold, without the calibration: a rising function of the score leaves the AUC as it is."""
    estimator = model if isinstance(model, Estimator) else estimators.built_in(model)
    aucs = []
    for train, test in parts:
        fitted = build(estimator, contract, seed=seed).fit(customers.iloc[train], churned[train])
        aucs.append(float(roc_auc_score(churned[test], uncalibrated(fitted, customers.iloc[test]))))
    return CrossValidation(model_type=estimator.model_type, auc=tuple(aucs), params=estimator.params)


def uncalibrated(model: Pipeline, customers: pd.DataFrame) -> Scores:
    """What the calibration is fitted to, shape (rows,): the classifier's decision function, else its probabilities."""
    scores = model.decision_function(customers) if hasattr(model, DECISION) else model.predict_proba(customers)[:, 1]
    return np.asarray(scores, dtype=np.float64)


def classifier_parts(model: Pipeline) -> tuple[Any, float, float]:
    """The one fitted classifier and the slope and offset (a, b) of its calibration: p = 1 / (1 + exp(a f + b))."""
    (calibrated,) = model[CLASSIFY].calibrated_classifiers_
    (sigmoid,) = calibrated.calibrators
    return calibrated.estimator, float(sigmoid.a_), float(sigmoid.b_)
