"""Chooses the classifier and its hyper-parameters by cross-validation on the training part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pandas as pd

from app.contract import Contract
from training import estimators, own_estimator, pipeline, search
from training.config import CANDIDATES, MODEL_TYPES, TrainConfig
from training.estimators import Estimator
from training.pipeline import CrossValidation, Folds, Labels
from training.rehearsal import rehearse
from training.search import Trial

SEARCH: Final = "search"
"""Stage of a search; it is entered again for each trial."""


@dataclass(frozen=True, kw_only=True)
class TrainingPart:
    """The customers that a model may be fitted on, every blank filled: never those of the holdout."""

    contract: Contract
    customers: pd.DataFrame
    churned: Labels
    folds: Folds
    """Row numbers of these customers to fit on and to score, of each fold."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best candidate, the cross-validation of each, the best first, and the trials of a search, in their order."""

    estimator: Estimator
    validations: tuple[CrossValidation, ...]
    trials: tuple[Trial, ...] = ()


def choose(config: TrainConfig, part: TrainingPart, enter: Callable[[str, str], None]) -> Choice:
    """Cross-validate the candidates that ``config`` names on the same folds, with their defaults or by a search.

    Args:
        enter: called with the name of each stage and a line about it.

    Raises:
        EstimatorError: a classifier of one's own cannot be used, or a library is not installed.
    """
    candidates = _candidates(config)
    if config.estimator is not None:
        enter("rehearse", f"{config.estimator}: fit, export and save it on a few customers")
        rehearse(config.estimator, candidates[0], part.contract, part.customers, part.churned, seed=config.seed)

    def judge(estimator: Estimator) -> CrossValidation:
        return pipeline.cross_validate(
            estimator, part.contract, part.customers, part.churned, part.folds, seed=config.seed
        )

    if config.search:
        return _searched(config, candidates, judge, enter)
    enter("choose", f"{len(part.folds)}-fold cross-validation, model {config.estimator or config.model}")
    return _best([(judge(estimator), estimator) for estimator in candidates])


def _candidates(config: TrainConfig) -> tuple[Estimator, ...]:
    if config.estimator is not None:
        return (own_estimator.load(config.estimator, config.seed),)
    names = CANDIDATES if config.model == "auto" else (config.model,)
    return tuple(estimators.built_in(name) for name in names)


def _searched(
    config: TrainConfig,
    candidates: tuple[Estimator, ...],
    judge: Callable[[Estimator], CrossValidation],
    enter: Callable[[str, str], None],
) -> Choice:
    trials: list[Trial] = []
    winners: list[tuple[CrossValidation, Estimator]] = []
    for name in MODEL_TYPES:
        if name not in {candidate.model_type for candidate in candidates}:
            continue
        tried = search.search(
            name, judge, trials=config.search, seed=config.seed, report=lambda line: enter(SEARCH, line)
        )
        best = search.best(tried)
        winners.append((best, estimators.built_in(name, best.params)))
        trials += tried
    return _best(winners, tuple(trials))


def _best(judged: list[tuple[CrossValidation, Estimator]], trials: tuple[Trial, ...] = ()) -> Choice:
    ranked = sorted(judged, key=lambda pair: pair[0].mean, reverse=True)
    return Choice(estimator=ranked[0][1], validations=tuple(v for v, _ in ranked), trials=trials)
