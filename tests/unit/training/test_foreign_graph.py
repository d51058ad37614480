"""Graphs from elsewhere: what is taken, in which form it is served, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support import foreign_models as models
from support.foreign_graphs import FIRST, WIDTH, churners, graph, weight

from app.bundle import INPUT_NAME, OUTPUT_NAME
from app.contract import Contract, Features
from training import foreign_graph, foreign_probe, foreign_serving
from training.contract_file import read
from training.export import onnx_scores
from training.foreign_error import ForeignModelError

BANK = read(models.BANK)
ROWS = np.random.default_rng(5).uniform(0, 1, (40, WIDTH)).astype(np.float32)


def served(folder: Path, model: onnx.ModelProto, contract: Contract = BANK, features: Features = ROWS) -> bytes:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return foreign_serving.as_served(path, foreign_graph.read_graph(path, contract), features)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the process of its own, for graphs of which the test knows that they are harmless."""
    monkeypatch.setattr(foreign_probe, "probe", lambda *_: None)


def test_a_graph_of_scikit_learn_is_served_with_its_scores_without_its_zipmap(bank: models.Elsewhere) -> None:
    model = models.linear(bank)
    features = bank.coded(bank.holdout)
    taken = served(bank.folder, models.linear_graph(bank, model), bank.contract, features)
    assert np.abs(onnx_scores(taken, features) - models.churn(model, features)).max() < 1e-6
    parsed = onnx.load_model_from_string(taken)
    assert [value.name for value in parsed.graph.input] == [INPUT_NAME]
    assert [value.name for value in parsed.graph.output] == [OUTPUT_NAME]
    assert "ZipMap" not in {node.op_type for node in parsed.graph.node}


@pytest.mark.usefixtures("trusted")
def test_trees_of_lightgbm_are_served_with_their_scores(bank: models.Elsewhere) -> None:
    model = models.trees(bank)
    features = bank.coded(bank.holdout)
    taken = served(bank.folder, models.trees_graph(bank, model), bank.contract, features)
    assert np.quantile(np.abs(onnx_scores(taken, features) - models.churn(model, features)), 0.99) < 1e-6


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "model",
    [
        churners(outputs=(("p", TensorProto.FLOAT, ["rows", 1]),)),
        graph(
            [helper.make_node("MatMul", ["x", "first"], ["q"]), helper.make_node("Squeeze", ["q", "axis"], ["p"])],
            weights=(FIRST, weight("axis", np.array([1]))),
            outputs=(("p", TensorProto.FLOAT, ["rows"]),),
        ),
        graph(
            [
                helper.make_node("MatMul", ["x", "first"], ["q"]),
                helper.make_node("Cast", ["q"], ["p"], to=TensorProto.DOUBLE),
            ],
            weights=(FIRST,),
            outputs=(("p", TensorProto.DOUBLE, ["rows", 1]),),
        ),
    ],
    ids=["one column", "no column", "float64"],
)
def test_the_probability_of_churn_alone_is_completed(model: onnx.ModelProto, tmp_path: Path) -> None:
    assert np.abs(onnx_scores(served(tmp_path, model), ROWS) - ROWS[:, 0]).max() < 1e-7


@pytest.mark.usefixtures("trusted")
def test_names_of_a_graph_that_serving_uses_itself_do_no_harm(tmp_path: Path) -> None:
    model = graph(
        [
            helper.make_node("Identity", ["x"], [INPUT_NAME]),
            helper.make_node("MatMul", [INPUT_NAME, "first"], [OUTPUT_NAME]),
            helper.make_node("Neg", [OUTPUT_NAME], ["p"]),
        ],
        weights=(FIRST,),
        outputs=((OUTPUT_NAME, TensorProto.FLOAT, ["rows", 1]), ("p", TensorProto.FLOAT, ["rows", 1])),
    )
    assert np.abs(onnx_scores(served(tmp_path, model), ROWS) - ROWS[:, 0]).max() < 1e-7


@pytest.mark.parametrize(
    ("score", "words"), [(np.nan, "gives nan for row 3"), (1.5, "gives 1.5"), (-0.1, "gives -0.1")]
)
def test_a_score_that_is_no_probability_is_refused(score: float, words: str) -> None:
    scores = np.array([0.0, 1.0, score])
    with pytest.raises(ForeignModelError, match=words):
        foreign_serving.check_scores(Path("model.onnx"), scores, "the customers")
    foreign_serving.check_scores(Path("model.onnx"), scores[:2], "the customers")


@pytest.mark.usefixtures("trusted")
def test_a_score_that_depends_on_the_other_customers_is_refused(tmp_path: Path) -> None:
    model = graph(
        [helper.make_node("MatMul", ["x", "first"], ["q"]), helper.make_node("Softmax", ["q"], ["p"], axis=0)],
        weights=(FIRST,),
        outputs=(("p", TensorProto.FLOAT, ["rows", 1]),),
    )
    taken = served(tmp_path, model)
    with pytest.raises(ForeignModelError, match=r"row 1 0\.0\d+ among others and 0\.5\d* alone"):
        foreign_serving.check_alone(Path("model.onnx"), taken, ROWS, onnx_scores(taken, ROWS))
    honest = served(tmp_path, churners(outputs=(("p", TensorProto.FLOAT, ["rows", 1]),)))
    foreign_serving.check_alone(Path("model.onnx"), honest, ROWS, onnx_scores(honest, ROWS))
