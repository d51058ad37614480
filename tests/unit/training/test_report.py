from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from app.bundle import GateResult
from app.schemas import telco
from training import evaluate, fairness, report
from training.config import CostModel, TrainConfig
from training.data import load
from training.export import Facts
from training.generate import GeneratorConfig, write
from training.pipeline import CrossValidation

SLICED = telco().model_copy(update={"slices": ("senior_citizen", "gender", "contract")})


@pytest.fixture
def evaluation() -> report.Evaluation:
    rng = np.random.default_rng(0)
    scores = rng.beta(1, 3, 800)
    churned = (rng.random(800) < scores).astype(np.int8)
    customers = pd.DataFrame(
        {
            "senior_citizen": rng.integers(0, 2, 800).astype(float),
            "gender": rng.choice(["Female", "Male"], 800),
            "contract": rng.choice(["Month-to-month", "Two year"], 800),
        }
    )
    return report.Evaluation(
        churned=churned,
        scores=scores,
        metrics=evaluate.evaluate(churned, scores, bootstrap_count=100, seed=1),
        slices=evaluate.evaluate_slices(SLICED, customers, churned, scores),
        groups=tuple(fairness.evaluate_groups(SLICED, customers, churned, scores, 0.25, np.arange(800))),
        importances=pd.DataFrame({"mean": [0.1, 0.02], "deviation": [0.01, 0.01]}, ["contract", "gender"]),
        validations=(CrossValidation(model_type="logistic_regression", auc=(0.83, 0.85)),),
    )


def test_metrics_have_their_intervals_beside_them(evaluation: report.Evaluation) -> None:
    flat = evaluation.flat_metrics()
    assert flat["auc_low"] < flat["auc"] < flat["auc_high"]
    assert flat["cv_auc"] == pytest.approx(0.84)
    assert set(evaluation.point_metrics()) == set(evaluate.METRICS)


def test_slice_metrics_have_names_that_mlflow_accepts(evaluation: report.Evaluation) -> None:
    names = evaluation.slice_metrics()
    assert "slice_auc/contract.month_to_month" in names
    assert "slice_rows/senior_citizen.1" in names


def test_the_headline_figures_come_first_and_the_others_are_in_groups(evaluation: report.Evaluation) -> None:
    names = list(evaluation.grouped_metrics())
    headline = [*evaluate.METRICS, "cv_auc"]
    assert names[: len(headline)] == headline
    groups = {name.partition("/")[0] for name in names[len(headline) :]}
    assert groups == {
        "slice_selection_rate",
        "slice_false_positive_rate",
        "slice_false_negative_rate",
        "slice_precision",
        "uncertainty",
        "slice_auc",
        "slice_calibration_error",
        "slice_churn_rate",
        "slice_mean_score",
        "slice_rows",
    }
    assert evaluation.grouped_metrics()["uncertainty/auc_low"] == evaluation.metrics["auc"].low


def test_every_plot_is_drawn(tmp_path: Path, evaluation: report.Evaluation) -> None:
    report.draw(tmp_path, evaluation, CostModel())
    images = {path.stem: imread(path) for path in tmp_path.glob("*.png")}
    assert set(images) == {
        "calibration",
        "confusion",
        "fairness",
        "gain_lift",
        "offer_value",
        "permutation_importance",
        "precision_recall",
        "roc",
    }
    for name, image in images.items():
        # The groups' rates need more width, and more height the more groups there are.
        assert image.shape[:2] == ((334, 1100) if name == "fairness" else (528, 704)), name
        assert image[..., :3].std() > 0.05, f"{name} is blank"


def test_the_card_states_figures_groups_threshold_and_refusals(tmp_path: Path, evaluation: report.Evaluation) -> None:
    write(GeneratorConfig(rows=200, seed=1), tmp_path / "data.csv")
    data = load(str(tmp_path / "data.csv"))
    config = TrainConfig(source="data.csv", tracking_uri="http://127.0.0.1:1", cost=CostModel(offer_cost=45))
    facts = Facts(
        contract=telco(),
        medians={},
        model_name="churn",
        model_type="logistic_regression",
        run_id="r1",
        git_revision="abc",
        dataset_sha256=data.sha256,
        threshold=0.25,
        metrics={},
    )
    refused = [GateResult(name="leak", passed=False, detail="AUC 0.99 above 0.86")]
    report.draw(tmp_path / report.PLOTS, evaluation, CostModel())
    card = tmp_path / "card.md"
    report.write_card(card, config, data, facts=facts, evaluation=evaluation, results=refused)
    text = card.read_text(encoding="utf-8")
    auc = evaluation.metrics["auc"]
    headline = text.split("\n\n")[1]
    assert headline.startswith(f"AUC {auc.value:.4f}, gates refused. 95 % interval of the AUC {auc.low:.4f} to")
    assert headline.endswith(" UTC on data.csv, 200 rows.")
    assert "\n\n![roc](plots/roc.png)\n\n" in text
    assert "| contract = Two year |" in text
    assert "**0.2500**" in text
    group = next(g for g in evaluation.groups if g.value == "Two year")
    low, high = group.rates["selection_rate"].interval()
    offers = f"{group.rates['selection_rate'].value:.1%} ({low:.1%} to {high:.1%})"
    assert f"| contract = Two year | {group.rows} | {offers} |" in text.partition("## Fairness")[2]
    assert "no gate judges these figures" in text
    assert "| leak | **refused** | AUC 0.99 above 0.86 |" in text
    assert data.sha256 in text
    assert "AUC 0.8" in text
