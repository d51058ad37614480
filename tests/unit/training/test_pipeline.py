from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from app.schemas import telco
from training import pipeline
from training.config import MODEL_TYPES, BuiltIn, CostModel, TrainConfig
from training.data import encode_frame
from training.evaluate import Ranked, calibration_error
from training.generate import GeneratorConfig, generate
from training.threads import available_cpus, limit_threads

ROWS = 20_000


@lru_cache
def _generated() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, float]:
    generated = generate(GeneratorConfig(rows=ROWS, seed=3))
    customers = generated.customers
    total = customers["total_charges"].fillna(customers["tenure_months"] * customers["monthly_charges"])
    return (
        customers.assign(total_charges=total),
        customers["churned"].to_numpy(),
        generated.probability,
        generated.truth.ceiling.auc,
    )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_fitted_model_comes_within_0_01_of_the_ceiling_and_is_calibrated(model_type: BuiltIn) -> None:
    customers, churned, truth, ceiling = _generated()
    split = pipeline.split(customers["customer_id"], churned, test_share=0.2, seed=7)
    features = customers[list(telco().names)]
    model = pipeline.fit(
        model_type, telco(), features.iloc[split.train], churned[split.train], seed=7, calibration_folds=3
    )
    scores = pipeline.predict(model, features.iloc[split.test])
    # Against new labels drawn from the same probabilities, so that the luck of the holdout does not count.
    drawn = (np.random.default_rng(0).random((20, len(split.test))) < truth[split.test]).astype(np.int8)
    auc = np.mean([Ranked(labels, scores).metrics()["auc"] for labels in drawn])
    assert auc >= ceiling - 0.01
    assert calibration_error(truth[split.test], scores) < 0.02


def test_the_split_is_stratified_and_keeps_a_customer_on_one_side() -> None:
    rng = np.random.default_rng(1)
    ids = pd.Series([f"C{n}" for n in rng.integers(0, 3000, 10_000)])
    churned = (rng.random(10_000) < 0.25).astype(np.int8)
    split = pipeline.split(ids, churned, test_share=0.2, seed=7)
    assert set(ids.iloc[split.train]).isdisjoint(ids.iloc[split.test])
    assert sorted([*split.train, *split.test]) == list(range(10_000))
    assert churned[split.test].mean() == pytest.approx(churned.mean(), abs=0.02)
    assert len(split.test) == pytest.approx(2000, rel=0.1)


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_rows() -> None:
    ids = pd.Series([f"C{n}" for n in range(2000)])
    churned = (np.arange(2000) % 4 == 0).astype(np.int8)
    split = pipeline.split(ids, churned, test_share=0.2, seed=7)
    turned = pipeline.split(ids[::-1], churned[::-1], test_share=0.2, seed=7)
    other = pipeline.split(ids, churned, test_share=0.2, seed=8)
    held_out = set(ids.iloc[split.test])
    assert held_out == set(ids[::-1].iloc[turned.test])
    assert held_out != set(ids.iloc[other.test])
    assert churned[split.test].mean() == 0.25


def test_most_customers_stay_on_their_side_when_data_is_added() -> None:
    ids = pd.Series([f"C{n}" for n in range(4000)])
    churned = (np.arange(4000) % 4 == 0).astype(np.int8)
    before = pipeline.split(ids[:2000], churned[:2000], test_share=0.2, seed=7)
    after = pipeline.split(ids, churned, test_share=0.2, seed=7)
    moved = set(ids.iloc[before.train]) & set(ids.iloc[after.test])
    assert len(moved) < 0.03 * 2000


def test_rows_without_ids_are_separate_customers() -> None:
    churned = (np.arange(1000) % 4 == 0).astype(np.int8)
    split = pipeline.split(None, churned, test_share=0.2, seed=7)
    assert len(split.test) == 200
    assert churned[split.test].mean() == 0.25


def test_folds_cover_every_row_once_and_keep_customers_together() -> None:
    rng = np.random.default_rng(2)
    ids = pd.Series([f"C{n}" for n in rng.integers(0, 1000, 5000)])
    churned = (rng.random(5000) < 0.3).astype(np.int8)
    parts = list(pipeline.folds(ids, churned, count=5, rows_max=10_000, seed=7))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(5000))
    for train, test in parts:
        assert set(ids.iloc[train]).isdisjoint(ids.iloc[test])
        assert 0 < churned[test].mean() < 1


def test_folds_of_a_large_file_use_a_stratified_part_of_it() -> None:
    churned = (np.arange(50_000) % 5 == 0).astype(np.int8)
    parts = list(pipeline.folds(None, churned, count=4, rows_max=10_000, seed=7))
    used = np.concatenate([test for _, test in parts])
    assert len(used) == 10_000
    assert churned[used].mean() == pytest.approx(0.2)


def test_cross_validation_ranks_a_real_signal_above_chance() -> None:
    customers, churned, _, ceiling = _generated()
    rows = slice(0, 4000)
    parts = list(pipeline.folds(None, churned[rows], count=3, rows_max=4000, seed=7))
    result = pipeline.cross_validate("logistic_regression", telco(), customers[rows], churned[rows], parts, seed=7)
    assert result.mean == pytest.approx(ceiling, abs=0.03)
    assert len(result.auc) == 3
    assert result.deviation > 0


def test_boosting_learns_from_float32_values_as_serving_sends_them() -> None:
    customers, churned, _, _ = _generated()
    small = customers[list(telco().names)][:3000]
    model = pipeline.fit("gradient_boosting", telco(), small, churned[:3000], seed=7, calibration_folds=2)
    assert model[pipeline.ENCODE].transform(small[:5]).dtype == np.float32
    # Numbers that differ only beyond float32 must score alike.
    nudged = small.assign(monthly_charges=small["monthly_charges"].astype(np.float32).astype(np.float64))
    assert np.array_equal(pipeline.predict(model, small), pipeline.predict(model, nudged))
    assert encode_frame(telco(), customers[:1], {}).dtype == np.float32


def test_the_threshold_follows_from_the_cost_model() -> None:
    assert CostModel(offer_cost=50, customer_value=500, retained_share=0.4).threshold == 0.25
    with pytest.raises(ValidationError, match="can never pay"):
        CostModel(offer_cost=500, customer_value=500, retained_share=0.4)


def test_a_config_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="depth"):
        TrainConfig.model_validate({"source": "x.csv", "tracking_uri": "http://127.0.0.1:1", "depth": 3})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_cpus_are_counted_from_affinity_and_quota(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cpus(tmp_path) == (expected or len(os.sched_getaffinity(0)))


def test_a_thread_count_set_by_the_operator_stays() -> None:
    environ = {"OMP_NUM_THREADS": "1"}
    assert limit_threads(environ) == 1
    assert environ["OPENBLAS_NUM_THREADS"] == "1"
    assert environ["OMP_WAIT_POLICY"] == "PASSIVE"
