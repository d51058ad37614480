"""``--search``: repeatable, bounded, never below the defaults, and blind to the holdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.bundles import fit_contract
from support.contracts import small_bank, small_bank_customers

from app.contract import Contract
from training import pipeline
from training.config import MODEL_TYPES, BuiltIn, TrainConfig
from training.data import load
from training.estimators import KINDS, Estimator
from training.fitting import Fitted, fit, validate
from training.pipeline import CrossValidation
from training.search import best, search

BANK = small_bank()


def made_up(estimator: Estimator) -> CrossValidation:
    """An AUC that is best at the middle of each range, on a scale of ratios."""
    assert estimator.model_type != "custom"
    space = KINDS[estimator.model_type].space
    off = [abs(np.log(v / np.sqrt(space[name].low * space[name].high))) for name, v in estimator.params.items()]
    return CrossValidation(
        model_type=estimator.model_type, auc=(0.8 - 0.01 * float(np.mean(off)),) * 2, params=estimator.params
    )


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_trials_start_with_the_defaults_and_stay_within_the_ranges(name: BuiltIn) -> None:
    tried = search(name, made_up, trials=15, seed=3, report=lambda _: None)
    assert len(tried) == 15
    assert tried[0].validation.params == KINDS[name].defaults
    for trial in tried:
        assert trial.validation.params.keys() == KINDS[name].space.keys()
        for parameter, value in trial.validation.params.items():
            part = KINDS[name].space[parameter]
            assert part.low <= value <= part.high
            assert isinstance(value, int) == part.integer
    assert len({tuple(trial.validation.params.values()) for trial in tried}) > 10
    assert best(tried).mean == max(trial.validation.mean for trial in tried)


def test_a_seed_decides_the_trials() -> None:
    def params(seed: int) -> list[dict[str, int | float]]:
        tried = search("xgboost", made_up, trials=14, seed=seed, report=lambda _: None)
        return [dict(trial.validation.params) for trial in tried]

    assert params(3) == params(3)
    assert params(3) != params(4)


def test_progress_tells_the_trial_and_the_best_so_far() -> None:
    lines: list[str] = []
    search("logistic_regression", made_up, trials=3, seed=3, report=lines.append)
    assert lines[0] == "logistic_regression, trial 1 of 3"
    assert lines[2].startswith("logistic_regression, trial 3 of 3, best AUC so far 0.")


def test_an_interrupted_search_ends_at_once() -> None:
    def interrupted(estimator: Estimator) -> CrossValidation:
        seen.append(estimator)
        raise KeyboardInterrupt

    seen: list[Estimator] = []
    with pytest.raises(KeyboardInterrupt):
        search("lightgbm", interrupted, trials=9, seed=3, report=lambda _: None)
    assert len(seen) == 1


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / "bank.csv"
    small_bank_customers(1200, 5).to_csv(path, index=False)
    return path


def searched(source: Path) -> Fitted:
    """A whole fit with a search."""
    config = TrainConfig(
        source=str(source),
        contract=BANK,
        model="auto",
        search=3,
        cv_folds=2,
        calibration_folds=2,
        tracking_uri="http://127.0.0.1:1",
    )
    data = load(str(source), BANK)
    return fit(config, data, validate(data), lambda *_: None)


def test_the_best_trial_is_fitted(source: Path) -> None:
    fitted = searched(source)
    assert [t.validation.model_type for t in fitted.trials] == ["logistic_regression"] * 3 + ["gradient_boosting"] * 3
    assert fitted.validations[0].mean == max(trial.validation.mean for trial in fitted.trials)
    assert fitted.model_type == fitted.validations[0].model_type
    params = pipeline.classifier_parts(fitted.model)[0].get_params()
    assert {name: params[name] for name in fitted.validations[0].params} == dict(fitted.validations[0].params)
    assert [t.validation for t in searched(source).trials] == [t.validation for t in fitted.trials]


def test_the_holdout_is_never_seen_by_the_search(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    real = pipeline.cross_validate

    def watched(estimator: Estimator, contract: Contract, customers: pd.DataFrame, *rest: Any, **named: Any) -> Any:
        seen.update(customers.index)
        return real(estimator, contract, customers, *rest, **named)

    monkeypatch.setattr(pipeline, "cross_validate", watched)
    fitted = searched(source)
    assert seen == set(fitted.customers.index[fitted.split.train])
    assert not seen & set(fitted.customers.index[fitted.split.test])


def test_a_run_without_a_search_has_no_trials(source: Path) -> None:
    assert fit_contract(BANK, source).fitted.trials == ()
