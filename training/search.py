"""Searches hyper-parameters of a built-in classifier by cross-validation on the training part.

Trials are chosen by the tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", NeurIPS 2011) of Optuna, with a seed. The first trial has the defaults, so a search never ends below
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.config import BuiltIn
from training.estimators import KINDS, Estimator, Params, built_in
from training.pipeline import CrossValidation

if TYPE_CHECKING:
    import optuna

Report = Callable[[str], None]
"""Called before each trial with a line about the search so far."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of hyper-parameters with its AUC on each fold; begun at a time in seconds since 1970."""

    validation: CrossValidation
    began: float
    seconds: float


def search(
    name: BuiltIn, judge: Callable[[Estimator], CrossValidation], *, trials: int, seed: int, report: Report
) -> tuple[Trial, ...]:
    """Try ``trials`` sets of hyper-parameters, the same ones for the same seed and data.

    Args:
        name: of the built-in classifier; its ranges are those of :data:`training.estimators.KINDS`.
        judge: cross-validates a classifier.
        trials: at least 1.

    Returns:
        the trials in their order; :func:`best` picks one.
    """
    import optuna  # noqa: PLC0415  # most runs search nothing

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(dict(KINDS[name].defaults))
    tried: list[Trial] = []
    for number in range(1, trials + 1):
        so_far = f", best AUC so far {best(tried).mean:.4f}" if tried else ""
        report(f"{name}, trial {number} of {trials}{so_far}")
        began, clock = time.time(), time.perf_counter()
        asked = study.ask()
        validation = judge(built_in(name, _suggested(asked, name)))
        study.tell(asked, validation.mean)
        tried.append(Trial(validation=validation, began=began, seconds=time.perf_counter() - clock))
    return tuple(tried)


def best(tried: list[Trial] | tuple[Trial, ...]) -> CrossValidation:
    """The cross-validation with the highest mean AUC; of equal ones the first."""
    return max((trial.validation for trial in tried), key=lambda validation: validation.mean)


def _suggested(trial: optuna.Trial, name: BuiltIn) -> Params:
    return {
        parameter: trial.suggest_int(parameter, int(part.low), int(part.high), log=part.log)
        if part.integer
        else trial.suggest_float(parameter, part.low, part.high, log=part.log)
        for parameter, part in KINDS[name].space.items()
    }
