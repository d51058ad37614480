"""The generator: reproducible, consistent with the schema, and right about its own truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score
from support.telco import FEATURE_NAMES

from training import generate as generate_module
from training import population
from training.data import load
from training.files import PathError
from training.generate import Generated, generate, write
from training.population import ADD_ON_SHARES, Chunk
from training.truth import GeneratorConfig, Probabilities, Truth, ceiling, truth_path

ROWS = 20_000
CSV_SHA256 = "798f2e3203227540eb124136f94c4b889ed847df41347f092ee54e528f84dbf5"
"""Digest of 1,000 rows with seed 7: if it changes, everybody's data changes."""


@pytest.fixture(scope="module")
def plain() -> Generated:
    return generate(GeneratorConfig(rows=ROWS))


def logit(p: Probabilities) -> Probabilities:
    return np.log(p / (1 - p))


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_same_seed_gives_the_same_bytes(tmp_path: Path, extension: str) -> None:
    config = GeneratorConfig(rows=1000, missing_total_share=0.1, label_delay_share=0.2)
    first, second = tmp_path / f"a.{extension}", tmp_path / "other" / f"b.{extension}"
    assert write(config, first) == write(config, second)
    assert first.read_bytes() == second.read_bytes()
    assert truth_path(first).read_bytes() == truth_path(second).read_bytes()
    write(config.model_copy(update={"seed": 8}), second, overwrite=True)
    assert first.read_bytes() != second.read_bytes()


def test_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    write(GeneratorConfig(rows=1000), tmp_path / "a.csv")
    assert hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest() == CSV_SHA256


def test_file_has_fixed_columns_and_two_decimals(tmp_path: Path) -> None:
    write(GeneratorConfig(rows=500), tmp_path / "a.csv")
    text = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    assert list(text.columns) == ["customer_id", *FEATURE_NAMES, "churned"]
    assert text["monthly_charges"].str.fullmatch(r"\d+\.\d\d").all()
    assert text["total_charges"].str.fullmatch(r"(\d+\.\d\d)?").all()
    assert text["tenure_months"].str.fullmatch(r"\d+").all()


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_the_file_holds_the_customers_generated_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    monkeypatch.setattr(population, "CHUNK_ROWS", 128)
    config = GeneratorConfig(rows=500, missing_total_share=0.3)
    generated = generate(config)
    truth = write(config, tmp_path / f"a.{extension}")
    data = load(str(tmp_path / f"a.{extension}"))
    assert data.truth == truth
    assert truth.model_copy(update={"data_sha256": None}) == generated.truth
    assert data.churned is not None
    assert data.churned.tolist() == generated.customers["churned"].tolist()
    assert data.ids is not None
    assert data.ids.tolist() == generated.customers["customer_id"].tolist()
    assert data.ids.is_unique
    known = generated.customers["total_charges"].notna()
    pd.testing.assert_frame_equal(data.customers[known], generated.customers.loc[known, list(FEATURE_NAMES)])


def test_first_customers_do_not_depend_on_how_many_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "CHUNK_ROWS", 64)
    few, many = generate(GeneratorConfig(rows=100)), generate(GeneratorConfig(rows=300))
    pd.testing.assert_frame_equal(few.customers, many.customers.head(100))
    # Chunks differ from one another.
    assert not np.array_equal(many.probability[:64], many.probability[64:128])


def test_churn_rate_and_ceiling_are_the_documented_ones() -> None:
    truth = generate(GeneratorConfig(rows=200_000)).truth
    assert truth.mean_probability == pytest.approx(0.265, abs=0.003)
    assert truth.churn_rate == pytest.approx(0.265, abs=0.004)
    assert 0.835 <= truth.ceiling.auc <= 0.850
    assert truth.ceiling == truth.outcome_ceiling
    assert truth.hidden_churners == 0


def test_ceiling_is_the_expected_auc_over_all_pairs() -> None:
    p = np.array([0.1, 0.7, 0.7, 0.3, 0.95, 0.02])
    right = pairs = 0.0
    for i, j in product(range(len(p)), repeat=2):
        if i != j:
            weight = p[i] * (1 - p[j])
            right += weight * (1.0 if p[i] > p[j] else 0.5 if p[i] == p[j] else 0.0)
            pairs += weight
    best = ceiling(p)
    assert best.auc == pytest.approx(right / pairs, abs=1e-9)
    assert best.brier == pytest.approx(float(np.mean(p * (1 - p))), abs=1e-9)
    assert best.log_loss == pytest.approx(float(-np.mean(p * np.log(p) + (1 - p) * np.log(1 - p))), abs=1e-9)


def test_true_probabilities_score_as_the_ceiling_says(plain: Generated) -> None:
    churned = plain.customers["churned"].to_numpy()
    assert roc_auc_score(churned, plain.probability) == pytest.approx(plain.truth.ceiling.auc, abs=0.01)
    assert np.mean((plain.probability - churned) ** 2) == pytest.approx(plain.truth.ceiling.brier, abs=0.005)


def test_customers_are_consistent(plain: Generated) -> None:
    frame = plain.customers
    offline = frame["internet_service"] == "No"
    for add_on in ADD_ON_SHARES:
        assert ((frame[add_on] == "No internet service") == offline).all()
    assert ((frame["multiple_lines"] == "No phone service") == (frame["phone_service"] == "No")).all()
    # Every customer pays for something.
    assert not (offline & (frame["phone_service"] == "No")).any()
    new = frame["tenure_months"] == 0
    assert new.any()
    assert (frame["total_charges"].isna() == new).all()
    ratio = (frame["total_charges"] / (frame["tenure_months"] * frame["monthly_charges"]))[~new]
    assert ratio.between(0.949, 1.051).all()
    for name in FEATURE_NAMES:
        assert len(frame[name].unique()) > 1, name


def test_fibre_share_changes_only_what_depends_on_it(plain: Generated) -> None:
    shifted = generate(GeneratorConfig(rows=ROWS, fibre_share=0.7))
    assert shifted.truth.fibre_share == pytest.approx(0.7, abs=0.015)
    assert plain.truth.fibre_share == pytest.approx(0.44, abs=0.015)
    for name in ("gender", "contract", "tenure_months", "senior_citizen"):
        pd.testing.assert_series_equal(shifted.customers[name], plain.customers[name])


def test_prior_shift_is_added_to_every_logit(plain: Generated) -> None:
    shifted = generate(GeneratorConfig(rows=ROWS, prior_shift=0.7))
    np.testing.assert_allclose(logit(shifted.probability) - logit(plain.probability), 0.7, atol=1e-9)
    pd.testing.assert_frame_equal(shifted.customers[list(FEATURE_NAMES)], plain.customers[list(FEATURE_NAMES)])
    assert shifted.truth.churn_rate > plain.truth.churn_rate + 0.08
    assert shifted.truth.coefficients["intercept"] == pytest.approx(plain.truth.coefficients["intercept"] + 0.7)


def test_concept_drift_changes_the_tenure_coefficient(plain: Generated) -> None:
    drifted = generate(GeneratorConfig(rows=ROWS, tenure_coefficient_change=0.02))
    difference = logit(drifted.probability) - logit(plain.probability)
    np.testing.assert_allclose(difference, 0.02 * plain.customers["tenure_months"], atol=1e-9)
    assert drifted.truth.coefficients["tenure"] == pytest.approx(-0.010)


def test_missing_totals_are_counted(plain: Generated) -> None:
    missing = generate(GeneratorConfig(rows=ROWS, missing_total_share=0.25))
    blank = missing.customers["total_charges"].isna()
    assert missing.truth.blank_totals == blank.sum()
    assert blank[missing.customers["tenure_months"] > 0].mean() == pytest.approx(0.25, abs=0.015)
    pd.testing.assert_series_equal(missing.customers["churned"], plain.customers["churned"])


def test_delayed_labels_hide_churners_and_lower_their_ceiling(plain: Generated) -> None:
    delayed = generate(GeneratorConfig(rows=ROWS, label_delay_share=0.3))
    outcome, recorded = plain.customers["churned"], delayed.customers["churned"]
    assert (recorded <= outcome).all()
    assert delayed.truth.hidden_churners == (outcome - recorded).sum()
    assert delayed.truth.hidden_churners / outcome.sum() == pytest.approx(0.3, abs=0.03)
    assert delayed.truth.churn_rate == plain.truth.churn_rate
    assert delayed.truth.recorded_churn_rate == recorded.mean()
    assert delayed.truth.outcome_ceiling == plain.truth.ceiling
    assert delayed.truth.ceiling.auc < plain.truth.ceiling.auc - 0.01
    assert roc_auc_score(recorded, delayed.probability) == pytest.approx(delayed.truth.ceiling.auc, abs=0.01)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a.parquet"
    write(GeneratorConfig(rows=100), out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(config: GeneratorConfig) -> Iterator[Chunk]:
        yield next(population.chunks(config))
        raise KeyboardInterrupt

    monkeypatch.setattr(generate_module, "chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(GeneratorConfig(rows=200), out, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("present", ["a.csv", "a.truth.json"])
def test_no_existing_file_is_replaced_unless_requested(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text("of yesterday")
    with pytest.raises(PathError, match=f"{present}: it exists already; .*--force"):
        write(GeneratorConfig(rows=10), tmp_path / "a.csv")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {present: "of yesterday"}
    write(GeneratorConfig(rows=10), tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / present).read_text() != "of yesterday"


def test_truth_file_states_its_data_and_configuration(tmp_path: Path) -> None:
    config = GeneratorConfig(rows=300, seed=3, prior_shift=-0.5)
    write(config, tmp_path / "a.csv")
    truth = Truth.model_validate_json((tmp_path / "a.truth.json").read_bytes())
    assert truth.config == config
    assert truth.data_sha256 == hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest()


def test_another_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"\.json; expected \.csv or \.parquet"):
        write(GeneratorConfig(rows=1), tmp_path / "a.json")


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"seed": -1}, {"fibre_share": 1.1}, {"label_delay_share": 1}, {"x": 1}])
def test_impossible_configuration_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GeneratorConfig.model_validate({"rows": 1} | wrong)
