"""A model of another business: trained, judged, exported and described by its contract alone."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.bundles import Trained, fit_contract
from support.contracts import small_bank, small_bank_customers

from app.bundle import EXPLAIN, GOLDEN, MANIFEST, REFERENCE, Golden, Manifest, Reference
from app.coding import Coder
from app.customers import customer_model
from app.explain import Explain, Linear, Occlusion
from app.model import load as load_model
from training import evaluate, export, report, sanity
from training.config import MODEL_TYPES, BuiltIn, CostModel, TrainConfig
from training.data import DataError, load
from training.fitting import fit, validate
from training.judge import judge
from training.mlflow_dataset import training_input
from training.mlflow_store import write_holdout
from training.score import ModelFolder, score

BANK = small_bank()


@lru_cache
def trained(model_type: BuiltIn) -> Trained:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "bank.csv"
        small_bank_customers(3000, 5).to_csv(source, index=False)
        return fit_contract(BANK, source, model=model_type)


@pytest.fixture(params=MODEL_TYPES)
def it(request: pytest.FixtureRequest) -> Trained:
    return trained(request.param)


@pytest.fixture
def bundle(it: Trained, tmp_path: Path) -> Path:
    it.write(tmp_path)
    return tmp_path


def test_the_medians_are_those_of_the_training_rows(it: Trained) -> None:
    balance, train = it.data.customers["balance"], it.fitted.split.train
    assert it.fitted.medians == {"balance": float(balance.iloc[train].median())}
    assert it.fitted.medians["balance"] != balance.median()
    assert not it.fitted.customers.isna().any(axis=None)
    filled = it.fitted.customers["balance"][balance.isna()]
    assert set(filled) == {it.fitted.medians["balance"]}


def test_the_cost_model_is_that_of_the_contract(it: Trained) -> None:
    assert it.config.cost == CostModel(offer_cost=50, customer_value=1000, retained_share=0.2)


def test_the_gates_pass_an_honest_model(it: Trained, bundle: Path) -> None:
    exported = export.onnx_scores((bundle / "model.onnx").read_bytes(), it.fitted.features)
    results = {gate.name: gate for gate in judge(it.config, it.data, it.fitted, exported)}
    assert [gate.name for gate in results.values() if not gate.passed] == []
    assert (results["parity"].value or 0) < 1e-6


def test_the_golden_rows_are_customers_that_the_graph_scores_alike(bundle: Path) -> None:
    manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
    golden = Golden.model_validate_json((bundle / GOLDEN).read_bytes())
    model = customer_model(manifest.customers)
    rows = [model.model_validate(row.customer).model_dump() for row in golden.rows]
    coded = Coder(manifest.customers, manifest.medians).many(rows)
    scores = export.onnx_scores((bundle / "model.onnx").read_bytes(), coded)
    assert np.abs(scores - [row.score for row in golden.rows]).max() < 1e-6
    assert any(row.customer["balance"] is None for row in golden.rows)
    assert {type(row.customer["active_member"]) for row in golden.rows} == {bool}


def test_the_manifest_carries_the_contract_and_the_medians(it: Trained, bundle: Path) -> None:
    manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
    assert (manifest.format, manifest.customers, manifest.medians) == (2, BANK, it.fitted.medians)
    assert manifest.contract_sha256 == BANK.sha256


def test_the_reference_has_a_few_bins_of_each_feature(bundle: Path) -> None:
    reference = Reference.model_validate_json((bundle / REFERENCE).read_bytes())
    assert list(reference.features) == sorted(BANK.names)
    assert reference.features["active_member"].edges == [0.5]
    assert reference.features["geography"].edges is None
    assert all(len(bins.proportions) <= 10 for bins in reference.features.values())
    assert all(sum(bins.proportions) == pytest.approx(1) for bins in reference.features.values())


def test_the_explanation_fits_the_features(it: Trained, bundle: Path) -> None:
    explainer = Explain.model_validate_json((bundle / EXPLAIN).read_bytes()).explainer
    if isinstance(explainer, Occlusion):
        assert len(explainer.reference) == len(BANK.features)
        return
    assert isinstance(explainer, Linear)
    row = it.fitted.features[0]
    parts = [
        explainer.contributions[f.name][int(value)]
        if f.is_category
        else explainer.contributions[f.name][0] * (value - explainer.contributions[f.name][1])
        for f, value in zip(BANK.features, row.tolist(), strict=True)
    ]
    score = it.fitted.scores[0]
    assert explainer.base + sum(parts) == pytest.approx(np.log(score / (1 - score)), abs=1e-4)


def test_the_slices_are_those_of_the_contract(it: Trained) -> None:
    fitted, test = it.fitted, it.fitted.split.test
    slices = evaluate.evaluate_slices(BANK, fitted.customers.iloc[test], fitted.churned[test], fitted.scores[test])
    ages = [part for part in slices if part.feature == "age"]
    assert [part.value for part in slices[:5]] == ["France", "Germany", "Spain", "0", "1"]
    assert len(ages) == 4, "a long range is cut into quarters"
    assert sum(part.rows for part in ages) == len(test)
    assert ages[0].value.startswith("up to ")


def test_the_card_speaks_of_the_contract(it: Trained, tmp_path: Path) -> None:
    fitted, test = it.fitted, it.fitted.split.test
    evaluation = report.Evaluation(
        churned=fitted.churned[test],
        scores=fitted.scores[test],
        metrics=evaluate.evaluate(fitted.churned[test], fitted.scores[test], bootstrap_count=100, seed=1),
        slices=[],
        groups=(),
        importances=evaluate.importances(fitted.model, fitted.customers.iloc[test], fitted.churned[test], 1),
        validations=fitted.validations,
        warnings=tuple(sanity.warnings(BANK, fitted.customers)),
    )
    report.write_card(tmp_path / "card.md", it.config, it.data, facts=it.facts, evaluation=evaluation, results=[])
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "contract `small-bank`" in text
    assert "`geography`, `active_member` and `age` are inputs" in text
    assert "Blank `geography` counts as `France`. Blank `balance` counts as the median of the training rows, " in text
    assert "Blank `salary` counts as `credit_score * 100`." in text
    assert "salary is far from credit_score * 100" in text
    assert "telco" not in text.lower()
    assert "tenure" not in text.lower()


def test_mlflow_sees_the_columns_of_the_contract(it: Trained, tmp_path: Path) -> None:
    shown = str(training_input(it.data).dataset.schema)
    assert all(f'"name": "{name}"' in shown for name in (*BANK.names, "left"))
    write_holdout(tmp_path, BANK, it.fitted.features, it.fitted.churned, 1)
    assert (tmp_path / "holdout.parquet").exists()


def test_a_file_is_scored_by_the_contract_of_the_bundle(it: Trained, bundle: Path) -> None:
    model = load_model(bundle)
    customers = small_bank_customers(500, 9)
    customers.drop(columns="left").to_parquet(bundle / "in.parquet", index=False)
    customers.drop(columns="left").to_csv(bundle / "in.csv", index=False)
    rows = customers[list(BANK.names)].astype(object).where(customers[list(BANK.names)].notna(), None)
    coded = Coder(BANK, it.fitted.medians).many(rows.to_dict("records"))  # type: ignore[arg-type]  # names are texts
    expected = model.score(coded)
    for suffix in ("csv", "parquet"):
        out = bundle / f"out.{suffix}"
        summary = score(ModelFolder(bundle), str(bundle / f"in.{suffix}"), out)
        answers = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
        assert summary.rows == 500
        assert list(answers.columns[:2]) == ["email", "churn_probability"]
        assert answers["email"].tolist() == customers["email"].tolist()
        assert answers["churn_probability"].to_numpy() == pytest.approx(expected, abs=1e-12)
    assert pq.read_metadata(bundle / "out.parquet").metadata[b"churn.contract"] == b"small-bank"


def test_customers_of_another_population_are_noticed(it: Trained, bundle: Path) -> None:
    customers = small_bank_customers(500, 9)
    customers["active_member"] = True
    customers["age"] = customers["age"] + 30
    customers.drop(columns="left").to_csv(bundle / "in.csv", index=False)
    summary = score(ModelFolder(bundle), str(bundle / "in.csv"), bundle / "out.csv")
    words = {difference.name: difference.words for difference in summary.differences}
    assert {"age", "active_member"} <= words.keys()
    assert words["age"].startswith("age (a number of years): higher: ")
    assert it.facts.contract.by_name["balance"].name not in words


def test_what_cannot_be_learnt_from_is_said_in_words(tmp_path: Path) -> None:
    customers = small_bank_customers(400, 3)
    customers.assign(products=2).to_csv(tmp_path / "a.csv", index=False)
    data = load(str(tmp_path / "a.csv"), BANK)
    assert "products is 2.0 in every row: the model cannot learn from it" in sanity.warnings(BANK, data.customers)
    few = customers.groupby("left").head(20)
    few.to_csv(tmp_path / "b.csv", index=False)
    few_data = load(str(tmp_path / "b.csv"), BANK)
    with pytest.raises(DataError, match="left: 20 churners among 40 rows; expected at least 50 customers who churned"):
        validate(few_data)
    customers.assign(balance=None).to_csv(tmp_path / "c.csv", index=False)
    blank = load(str(tmp_path / "c.csv"), BANK)
    config = TrainConfig(source="c.csv", contract=BANK, tracking_uri="http://127.0.0.1:1")
    with pytest.raises(DataError, match="balance is blank in every training row"):
        fit(config, blank, validate(blank), lambda *_: None)
