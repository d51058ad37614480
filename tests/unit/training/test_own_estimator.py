"""``--estimator``: which classifiers of one's own are trained and served, and what is said about the others."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from support.bundles import Trained, fit_contract
from support.contracts import small_bank, small_bank_customers

from app.bundle import MODEL
from app.explain import Linear, Occlusion
from app.model import Origin
from app.model import load as load_model
from training import export, pipeline
from training.boosting import EstimatorError
from training.choosing import TrainingPart, choose
from training.config import TrainConfig
from training.judge import judge
from training.own_estimator import load

BANK = small_bank()
MODULE = """
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC, OneClassSVM
import numpy as np


def forest(seed):
    return RandomForestClassifier(30, min_samples_leaf=5, random_state=seed)


def extra():
    return ExtraTreesClassifier(30, min_samples_leaf=5)


def boosted():
    return GradientBoostingClassifier(n_estimators=30)


def network():
    return MLPClassifier((8,), max_iter=2000, tol=1e-3)


def selected():
    return make_pipeline(SelectKBest(k=5), LogisticRegression())


def margin():
    return LinearSVC()


def logistic():
    return LogisticRegression()


def standard():
    return make_pipeline(StandardScaler(), LogisticRegression())


standard.encoding = "ordinal"


def plain():
    return LogisticRegression(solver="liblinear")


plain.encoding = "ordinal"


def misspelt():
    return LogisticRegression()


misspelt.encoding = "onehot"


class Mean(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_, self.rate_ = np.unique(y), y.mean()
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def predict_proba(self, X):
        return np.tile([1 - self.rate_, self.rate_], (len(X), 1))


def own():
    return Mean()


def distance(a, b):
    return abs(a - b).sum()


def neighbours():
    return KNeighborsClassifier(5, metric=distance)


def logged():
    return make_pipeline(FunctionTransformer(np.negative), GaussianNB())


def fails_in_fit():
    return KNeighborsClassifier(-1)


def fails():
    raise ValueError("the file of weights is missing\\nand more")


def outliers():
    return make_pipeline(SelectKBest(k=5))


def nothing():
    return None


NUMBER = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of the user's."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def trained(folder: Path, path: str) -> Trained:
    source = folder / "bank.csv"
    small_bank_customers(1500, 5).to_csv(source, index=False)
    return fit_contract(BANK, source, estimator=path)


@pytest.mark.parametrize(
    "name", ["forest", "extra", "boosted", "network", "selected", "margin", "logistic", "standard"]
)
def test_a_classifier_of_ones_own_is_trained_judged_and_served(folder: Path, name: str) -> None:
    it = trained(folder, f"mine:{name}")
    manifest = it.write(folder / "bundle")
    assert manifest.model_type == "custom"
    exported = export.onnx_scores((folder / "bundle" / MODEL).read_bytes(), it.fitted.features)
    results = {gate.name: gate for gate in judge(it.config, it.data, it.fitted, exported)}
    assert (results["parity"].value or 0) < 1e-6
    assert [gate.name for gate in results.values() if not gate.passed] == []
    model = load_model(folder / "bundle", Origin(version="1", source="test"))
    assert model.score(it.fitted.features[:50]) == pytest.approx(it.fitted.scores[:50], abs=1e-6)
    explained = model.explain(it.fitted.features[:1])
    assert isinstance(model.explainer, Linear if name == "logistic" else Occlusion)
    assert all(np.isfinite(list(explained.contributions.values())))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mine", "estimator 'mine': write package.module:function, such as mine:forest"),
        ("mine:forest()", "write package.module:function"),
        ("absent:forest", r"there is no module 'absent', neither in .* nor installed: correct 'absent:forest'"),
        ("mine.deeper:forest", "there is no module 'mine.deeper'"),
        ("mine:florest", r"'florest' in mine does not exist; functions there: .*boosted, .*forest, "),
        ("mine:NUMBER", "'NUMBER' in mine is not a function"),
        ("mine:fails", "mine:fails fails: ValueError: the file of weights is missing$"),
        ("mine:nothing", "mine:nothing made a builtins.NoneType, which has no fit"),
        ("mine:outliers", "has neither predict_proba nor decision_function: scores are calibrated"),
        ("mine:misspelt", "mine:misspelt.encoding is 'onehot': it must be 'one_hot' or 'ordinal'"),
        ("broken:forest", "broken fails when it is imported: SyntaxError"),
        ("needy:forest", "needy needs the module not_installed_anywhere, which is not installed"),
        ("lightgbm_mine:dart", r"lightgbm_mine:dart: XGBClassifier\(booster='dart'\) is converted to another model"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(folder: Path, path: str, words: str) -> None:
    (folder / "broken.py").write_text("def forest(:\n", encoding="utf-8")
    (folder / "needy.py").write_text("import not_installed_anywhere\n", encoding="utf-8")
    (folder / "lightgbm_mine.py").write_text(
        "from xgboost import XGBClassifier\ndef dart():\n    return XGBClassifier(booster='dart')\n", encoding="utf-8"
    )
    with pytest.raises(EstimatorError, match=words) as caught:
        load(path, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own", r"mine:own: a mine.Mean on one_hot features cannot be converted to ONNX \(.*What can be: most class"),
        ("neighbours", r"a sklearn.neighbors.*KNeighborsClassifier on one_hot features cannot be converted to ONNX"),
        ("logged", r"cannot be converted to ONNX|types that nobody may load without trusting them: numpy"),
        ("fails_in_fit", r"mine:fails_in_fit cannot be fitted to \d+ customers: InvalidParameterError: "),
    ],
)
def test_what_cannot_be_served_fails_before_the_long_fit(name: str, words: str) -> None:
    seen: list[str] = []
    customers = small_bank_customers(1500, 5).dropna().reset_index(drop=True)
    customers["geography"] = pd.Categorical(customers["geography"], BANK.by_name["geography"].categories)
    churned = customers["left"].to_numpy(dtype=np.int8)
    folds = list(pipeline.folds(customers["email"], churned, count=2, rows_max=1500, seed=1))
    part = TrainingPart(contract=BANK, customers=customers[list(BANK.names)], churned=churned, folds=folds)
    config = TrainConfig(source="x.csv", contract=BANK, estimator=f"mine:{name}", tracking_uri="http://127.0.0.1:1")
    with pytest.raises(EstimatorError, match=words) as caught:
        choose(config, part, lambda stage, _: seen.append(stage))
    assert "\n" not in str(caught.value)
    assert seen == ["rehearse"]


def test_types_that_skops_does_not_trust_are_named(folder: Path) -> None:
    (folder / "chi.py").write_text(
        "from sklearn.feature_selection import SelectKBest, mutual_info_classif\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.pipeline import make_pipeline\n"
        "def informed():\n    return make_pipeline(SelectKBest(mutual_info_classif, k=3), LogisticRegression())\n",
        encoding="utf-8",
    )
    with pytest.raises(EstimatorError, match=r"trusting them: sklearn\.feature_selection\._mutual_info\.mutual"):
        trained(folder, "chi:informed")


def test_a_logistic_regression_on_numbers_of_categories_is_not_explained_by_their_names(folder: Path) -> None:
    it = trained(folder, "mine:plain")
    assert isinstance(export.explainer(BANK, it.fitted.model, it.fitted.features), Occlusion)


def test_every_random_state_is_the_seed() -> None:
    first, again, other = (load("mine:extra", 1).make(seed) for seed in (5, 5, 6))
    assert [c.random_state for c in (first, again, other)] == [5, 5, 6]
    assert load("mine:forest", 1).make(4).random_state == 4


def test_a_class_may_be_named_instead_of_a_function() -> None:
    estimator = load("sklearn.ensemble:RandomForestClassifier", 1)
    assert isinstance(estimator.make(8), RandomForestClassifier)
    assert estimator.encoding == "ordinal"


def test_the_coding_is_that_of_the_kind_unless_the_function_says_which() -> None:
    names = ("forest", "boosted", "network", "logistic", "plain")
    assert [load(f"mine:{name}", 1).encoding for name in names] == [
        "ordinal", "ordinal", "one_hot", "one_hot", "ordinal",
    ]  # fmt: skip


def test_a_search_needs_the_ranges_of_a_built_in_model() -> None:
    with pytest.raises(ValueError, match="search=5 with estimator mine:forest: only the ranges of built-in models"):
        TrainConfig(source="x.csv", estimator="mine:forest", search=5, tracking_uri="http://127.0.0.1:1")
