"""A split by time: no day on both sides, folds that go forward, and clear words where it cannot be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.calibration import CalibratedClassifierCV
from support.contracts import small_bank, small_bank_snapshots

from app.contract import Contract
from training import report, time_split
from training.config import TrainConfig
from training.data import DataError, Dataset, load
from training.duplicates import gate
from training.evaluate import evaluate
from training.export import Facts
from training.fitting import Fitted, fit, validate
from training.judge import judge
from training.pipeline import CLASSIFY

BANK = small_bank()


def config(**changes: object) -> TrainConfig:
    fields = {"source": "a.csv", "contract": BANK, "split": "time", "tracking_uri": "http://127.0.0.1:1"}
    return TrainConfig.model_validate(fields | changes)


@lru_cache
def data() -> Dataset:
    with TemporaryDirectory() as folder:
        small_bank_snapshots(900, 9).sample(frac=1, random_state=4).to_csv(Path(folder) / "a.csv", index=False)
        return load(str(Path(folder) / "a.csv"), BANK, dated=True)


@lru_cache
def fitted() -> Fitted:
    return fit(config(), data(), validate(data()), lambda *_: None)


def days_of(rows: np.ndarray) -> np.ndarray:
    days = data().days
    assert days is not None
    taken: np.ndarray = days[rows]
    return taken


def test_no_day_is_on_both_sides_and_the_holdout_is_the_latest() -> None:
    parts = fitted().split
    assert days_of(parts.train).max() < days_of(parts.test).min()
    assert sorted([*parts.train, *parts.test]) == list(range(len(data().customers)))
    assert 0.1 < len(parts.test) / len(data().customers) < 0.3


def test_the_cut_is_the_day_nearest_to_the_share() -> None:
    counts = pd.Series(days_of(np.arange(len(data().customers)))).value_counts().sort_index()
    held_out = counts[::-1].cumsum()[::-1] / counts.sum()
    for share in (0.1, 0.2, 0.35, 0.5):
        it = time_split.split(config(test_share=share), data(), validate(data()), fitted().groups)
        allowed = held_out[held_out <= 0.5]
        assert str(days_of(it.test).min()) == f"{(allowed - share).abs().idxmin():%Y-%m-%d}"


def test_it_says_where_the_cut_is_and_how_many_customers_return() -> None:
    cut, parts, ids = fitted().cut, fitted().split, data().ids
    assert cut is not None
    assert ids is not None
    assert str(cut.day) == str(days_of(parts.test).min())
    assert cut.customers == ids.iloc[parts.test].nunique()
    assert "rows of one id count as one customer, whose earlier rows may be trained on." in data().notes[0]
    assert cut.returning == len({*ids.iloc[parts.test]} & {*ids.iloc[parts.train]}) > 100


def test_each_fold_tests_on_later_days_than_it_trains_on() -> None:
    train = fitted().split.train
    folds = time_split.forward_folds(config(), data(), validate(data()), fitted().groups, train)
    assert len(folds) == len(fitted().validations[0].auc) >= 4
    for fit_on, score in folds:
        assert days_of(train[fit_on]).max() < days_of(train[score]).min()
    sizes = [len(fit_on) for fit_on, _ in folds]
    assert sizes == sorted(sizes)


def test_folds_take_at_most_the_rows_that_they_may() -> None:
    train = fitted().split.train
    few = config(cv_rows_max=1000)
    folds = time_split.forward_folds(few, data(), validate(data()), fitted().groups, train)
    assert len({*np.concatenate([np.concatenate(fold) for fold in folds])}) == pytest.approx(1000, rel=0.15)


def test_the_calibration_scores_each_training_row_once_and_no_day_twice() -> None:
    train = fitted().split.train
    folds = time_split.calibration_folds(config(), data(), validate(data()), train)
    assert len(folds) == 3
    assert sorted(np.concatenate([score for _, score in folds])) == list(range(len(train)))
    for fit_on, score in folds:
        assert not {*days_of(train[fit_on])} & {*days_of(train[score])}


def test_the_stored_model_has_the_number_of_folds_and_not_their_rows() -> None:
    calibrated = fitted().model[CLASSIFY]
    assert isinstance(calibrated, CalibratedClassifierCV)
    assert calibrated.cv == 3


def test_the_same_file_gives_the_same_split_and_scores() -> None:
    again = fit(config(), data(), validate(data()), lambda *_: None)
    assert np.array_equal(again.split.test, fitted().split.test)
    assert np.array_equal(again.scores, fitted().scores)


def test_a_time_split_tells_what_a_random_one_hides(tmp_path: Path) -> None:
    """The risk turns around in the last months: a random split mixes them into training, time does not."""
    frame = small_bank_snapshots(1500, 8)
    late = frame["day"] >= "2026-07-01"
    frame.loc[late, "left"] = (np.random.default_rng(2).random(late.sum()) < 0.1 + 0.3 * (frame["age"][late] < 45)) * 1
    frame.to_csv(tmp_path / "a.csv", index=False)
    drifted = load(str(tmp_path / "a.csv"), BANK, dated=True)
    auc = {}
    for kind in ("random", "time"):
        it = fit(config(split=kind), drifted, validate(drifted), lambda *_: None)
        test = it.split.test
        auc[kind] = evaluate(it.churned[test], it.scores[test], bootstrap_count=100, seed=1)["auc"].value
    assert auc["time"] < 0.5 < auc["random"]


def test_an_earlier_row_of_the_same_customer_is_no_copy(tmp_path: Path) -> None:
    """Features that never change and labels that are nearly all 0 would look like copies under other ids."""
    assert all(result.passed for result in judge(config(), data(), fitted(), fitted().scores))
    it = fitted()
    alike = replace(it, churned=np.zeros_like(it.churned))
    limits = config().gates
    whole = gate(it.content, alike.churned, it.split, with_ids=True, limits=limits)
    others = time_split.strangers(it.groups, it.split)
    assert not whole.passed
    assert gate(it.content, alike.churned, others, with_ids=True, limits=limits).passed
    # Copies under other ids are still seen.
    frame = small_bank_snapshots(900, 9)
    stayed = frame[(frame["day"] == "2026-09-01") & (frame["left"] == 0)]
    copies = stayed.assign(email="x" + stayed["email"], day="2026-01-01")
    pd.concat([frame, copies]).to_csv(tmp_path / "a.csv", index=False)
    copied = load(str(tmp_path / "a.csv"), BANK, dated=True)
    refused = fit(config(), copied, validate(copied), lambda *_: None)
    names = [r.name for r in judge(config(), copied, refused, refused.scores) if not r.passed]
    assert "duplicates" in names


def test_the_card_says_how_it_was_split(tmp_path: Path) -> None:
    it = fitted()
    test = it.split.test
    evaluation = report.Evaluation(
        churned=it.churned[test],
        scores=it.scores[test],
        metrics=evaluate(it.churned[test], it.scores[test], bootstrap_count=100, seed=1),
        slices=[],
        groups=(),
        importances=pd.DataFrame({"mean": [0.1], "deviation": [0.01]}, ["age"]),
        validations=it.validations,
        cut=it.cut,
    )
    facts = Facts(
        contract=BANK, medians=it.medians, model_name="bank", model_type=it.model_type, run_id="r", git_revision=None,
        dataset_sha256=data().sha256, threshold=0.25, metrics={},
    )  # fmt: skip
    card = tmp_path / "card.md"
    report.write_card(card, config(), data(), facts=facts, evaluation=evaluation, results=[])
    text = card.read_text("utf-8")
    assert it.cut is not None
    assert f"the rows from {it.cut.day} on, by `day`: a split by time." in text
    assert f"{it.cut.returning:,} also have earlier rows" in text
    assert "-fold cross-validation, each fold on later days than it trained on, on the training part" in text
    assert "also have earlier rows" not in _random_card(tmp_path, evaluation, facts)


def _random_card(folder: Path, evaluation: report.Evaluation, facts: Facts) -> str:
    at_random = config(split="random")
    path = folder / "random.md"
    report.write_card(path, at_random, data(), facts=facts, evaluation=replace(evaluation, cut=None), results=[])
    return path.read_text("utf-8")


def test_without_ids_rows_of_equal_content_count_as_one_customer(tmp_path: Path) -> None:
    """Nothing tells a customer's earlier row from another customer's copy, so such a file may be refused."""
    small_bank_snapshots(900, 9).drop(columns="email").to_csv(tmp_path / "a.csv", index=False)
    anonymous = load(str(tmp_path / "a.csv"), BANK, dated=True)
    it = fit(config(), anonymous, validate(anonymous), lambda *_: None)
    assert it.cut is not None
    assert it.cut.returning == it.cut.customers > 100
    verdicts = {r.name: r.detail for r in judge(config(), anonymous, it, it.scores)}
    assert "100.0% of the held-out rows have a twin in the training part" in verdicts["duplicates"]


def test_a_contract_without_as_of_cannot_be_split_by_time() -> None:
    contract = Contract.model_validate(BANK.model_dump() | {"as_of": None})
    with pytest.raises(
        ValidationError, match="'small-bank' does not say on which day a row was known; name the column"
    ):
        config(contract=contract)
    assert config(contract=contract, split="random").split == "random"


def relabelled(frame: pd.DataFrame) -> pd.DataFrame:
    """The customers of the last two months all stayed."""
    return frame.assign(left=frame["left"].where(frame["day"] < "2026-05-01", 0))


def late(frame: pd.DataFrame) -> pd.DataFrame:
    """Most rows are of the last day."""
    return frame.assign(day=frame["day"].where(np.arange(len(frame)) % 5 == 0, "2026-12-01"))


def two_classes_late(frame: pd.DataFrame) -> pd.DataFrame:
    """Nobody leaves before May."""
    return frame.assign(left=frame["left"].where(frame["day"] >= "2026-05-01", 0))


@pytest.mark.parametrize(
    ("months", "change", "message"),
    [
        (3, None, "day: 3 distinct days (2026-01-01, 2026-02-01, 2026-03-01); expected at least 4"),
        (
            6,
            relabelled,
            "day: every row from 2026-05-01 has the label 0; expected customers who churned and who stayed",
        ),
        (6, late, "day: the nearest cut, at 2026-12-01, holds out"),
        (6, two_classes_late, "day: every row before 2026-05-01 has the label 0"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_days(
    tmp_path: Path, months: int, change: Callable[[pd.DataFrame], pd.DataFrame] | None, message: str
) -> None:
    frame = small_bank_snapshots(900, months)
    (change(frame) if change else frame).to_csv(tmp_path / "a.csv", index=False)
    it = load(str(tmp_path / "a.csv"), BANK, dated=True)
    with pytest.raises(DataError) as error:
        fit(config(test_share=0.3), it, validate(it), lambda *_: None)
    assert message in str(error.value)
    assert "--split random" in str(error.value)


def test_folds_of_one_class_are_left_out_and_too_few_are_refused() -> None:
    churned, train = validate(data()).copy(), fitted().split.train
    days = days_of(np.arange(len(churned)))
    churned[days < np.datetime64("2026-03-01")] = 0
    folds = time_split.forward_folds(config(), data(), churned, fitted().groups, train)
    assert days_of(train[folds[0][0]]).max() >= np.datetime64("2026-03-01")
    churned[days < np.datetime64("2026-06-01")] = 0
    with pytest.raises(DataError, match="of the folds in time have customers of both classes on both sides"):
        time_split.forward_folds(config(), data(), churned, fitted().groups, train)


def test_a_calibration_that_would_fit_on_one_class_is_refused() -> None:
    churned, train = validate(data()).copy(), fitted().split.train
    churned[days_of(np.arange(len(churned))) >= np.datetime64("2026-02-01")] = 0
    with pytest.raises(DataError, match=r"all training rows but those from 2026-01-01 to 2026-.* have one label"):
        time_split.calibration_folds(config(), data(), churned, train)
