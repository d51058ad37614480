"""Each gate has a file that it must refuse and one that it must pass, judged as `churn train` judges it."""

from __future__ import annotations

from functools import cache

import pandas as pd
import pytest
from support.telco import FEATURE_NAMES, FEATURES

from app.bundle import GateResult
from app.schemas import telco
from benchmarks import gate_cases as attacks
from benchmarks.gate_cases import Case, cases, dataset
from benchmarks.gates import CONFIG, verdict
from training import duplicates, leaks
from training.fitting import Fitted, fit, validate
from training.judge import judge

CASES = {(case.name, case.rows): case for case in cases()}
HONEST = CASES["honest", 1000]


@cache
def _judged(name: str, rows: int) -> tuple[Fitted, dict[str, GateResult]]:
    data = dataset(CASES[name, rows], seed=0)
    fitted = fit(CONFIG, data, validate(data), lambda _stage, _detail: None)
    return fitted, {gate.name: gate for gate in judge(CONFIG, data, fitted, fitted.scores)}


def test_honest_customers_pass_every_gate() -> None:
    _, results = _judged("honest", 1000)
    assert [str(gate) for gate in results.values() if not gate.passed or gate.needs] == []
    assert list(results) == ["parity", "skill", "duplicates", "leak", "calibration"]


@pytest.mark.parametrize(
    ("name", "rows", "gate", "words"),
    [
        ("random labels", 1000, "skill", "Brier score"),
        ("random labels", 5000, "skill", "no skill"),
        ("random labels, three times, no ids", 600, "skill", "base rate"),
        ("a feature that leaks with strength 1", 600, "leak", "total_charges (AUC 1.000) alone nearly decides"),
        ("honest, three times, new ids", 600, "duplicates", "they are copies under other ids"),
    ],
)
def test_an_attack_is_refused_by_its_gate(name: str, rows: int, gate: str, words: str) -> None:
    _, results = _judged(name, rows)
    assert not results[gate].passed
    if words != "base rate":
        assert words in results[gate].detail


@pytest.mark.parametrize("ids", ["no ids", "same ids"])
def test_honest_customers_three_times_pass_and_are_reported(ids: str) -> None:
    fitted, results = _judged(f"honest, three times, {ids}", 600)
    assert [str(gate) for gate in results.values() if not gate.passed] == []
    assert "1,200 of 1,800 rows repeat" in results["duplicates"].detail
    assert ("kept on one side of the split" in results["duplicates"].detail) == (ids == "no ids")
    assert duplicates.warnings(fitted.content)[0].startswith("1,200 of 1,800 rows are exact duplicates")
    assert duplicates.warnings(_judged("honest", 1000)[0].content) == []
    train, test = (set(fitted.content[part]) for part in (fitted.split.train, fitted.split.test))
    assert not train & test
    assert len(set(fitted.clusters)) * 3 == len(fitted.clusters)
    assert results["skill"].value is not None
    assert results["skill"].value < 0.85


def test_a_near_leak_asks_for_a_person() -> None:
    _, results = _judged("a feature that leaks with strength 0.8", 2000)
    assert results["leak"].passed
    assert results["leak"].needs == "--acknowledge leak"
    assert "total_charges" in results["leak"].detail


def test_too_few_rows_are_reported_as_not_enough_data() -> None:
    one = verdict(CASES["honest", 100], 0)
    assert (one.accepted, one.too_few, one.by) == (False, True, ())


def test_a_worse_model_does_not_pass_against_an_honest_one() -> None:
    assert verdict(CASES["honest, over an honest version", 1000], 0).accepted
    assert "regression" in verdict(CASES["60% of the labels random, over an honest version", 1000], 0).by


@pytest.mark.long(seconds=8)
def test_the_operating_characteristics_of_a_small_sample() -> None:
    """Six seeds of the four kinds with a right answer; `make bench-gates` measures 200 seeds of all kinds."""
    for seed in range(100, 106):
        assert not verdict(CASES["random labels", 500], seed).accepted
        assert not verdict(CASES["a feature that leaks with strength 1", 600], seed).accepted
    accepted = sum(verdict(CASES["honest", 500], seed).accepted for seed in range(100, 106))
    assert accepted >= 5


def test_similar_customers_are_not_copies() -> None:
    """Equal features, with labels that differ as other customers' do: nothing was copied."""
    data = dataset(Case(name="few kinds", kind="honest", rows=1000), seed=3)
    typical = {name: data.customers[name].iloc[0] for name in FEATURE_NAMES if name != "contract"}
    frame = data.customers.assign(**typical)
    for feature in FEATURES:
        if feature.is_category:
            frame[feature.name] = pd.Categorical(frame[feature.name], feature.categories)
    alike = attacks.loaded(frame.assign(customer_id=data.ids, churned=data.churned))
    fitted = fit(CONFIG, alike, validate(alike), lambda _stage, _detail: None)
    result = duplicates.gate(fitted.content, fitted.churned, fitted.split, with_ids=True, limits=CONFIG.gates)
    assert result.passed
    assert result.value == 1.0


def test_the_strongest_feature_comes_first_and_noise_stays_at_a_half() -> None:
    fitted, _ = _judged("a feature that leaks with strength 0.8", 2000)
    single = leaks.single_features(telco(), fitted.features, fitted.churned, fitted.split, fitted.clusters)
    assert single[0].feature == "total_charges"
    assert single[0].auc.value == pytest.approx(0.9, abs=0.03)
    by_name = {one.feature: one.auc.value for one in single}
    assert by_name["gender"] == pytest.approx(0.5, abs=0.06)
