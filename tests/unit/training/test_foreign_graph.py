"""Graphs from elsewhere: what is taken, in which form it is served, and what is refused with which words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import foreign_models as models

from app.bundle import INPUT_NAME, OUTPUT_NAME
from app.contract import Contract, Features
from training import foreign_graph, foreign_probe
from training.contract_file import read
from training.export import onnx_scores
from training.foreign_error import ForeignModelError

BANK = read(models.BANK)
WIDTH = len(BANK.features)
ROWS = np.random.default_rng(5).uniform(0, 1, (40, WIDTH)).astype(np.float32)


def graph(
    nodes: list[onnx.NodeProto],
    *,
    outputs: tuple[tuple[str, int, list[Any]], ...] = (("p", TensorProto.FLOAT, ["rows", 2]),),
    weights: tuple[onnx.TensorProto, ...] = (),
    element: int = TensorProto.FLOAT,
    shape: tuple[Any, ...] = ("rows", WIDTH),
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """A graph from the input ``x``."""
    received = [helper.make_tensor_value_info("x", element, shape)]
    results = [helper.make_tensor_value_info(*output) for output in outputs]
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 3) for domain in domains)]
    return helper.make_model(
        helper.make_graph(nodes, "elsewhere", received, results, list(weights)), opset_imports=opsets, ir_version=8
    )


def weight(name: str, values: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


FIRST = weight("first", np.eye(WIDTH, 1, dtype=np.float32))
"""Picks the first feature."""
BOTH = weight("both", np.eye(WIDTH, 2, dtype=np.float32))
"""Picks the first two features."""


def churners(**shape: Any) -> onnx.ModelProto:
    """A graph that gives the first feature, between 0 and 1, as the probability of churn."""
    return graph([helper.make_node("MatMul", ["x", "first"], ["p"])], weights=(FIRST,), **shape)


def served(folder: Path, model: onnx.ModelProto, contract: Contract = BANK, features: Features = ROWS) -> bytes:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return foreign_graph.as_served(path, foreign_graph.read_graph(path, contract), features)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the process of its own, for graphs of which the test knows that they are harmless."""
    monkeypatch.setattr(foreign_probe, "probe", lambda *_: None)


def refusal(folder: Path, model: onnx.ModelProto | bytes) -> str:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(ForeignModelError) as caught:
        foreign_graph.as_served(path, foreign_graph.read_graph(path, BANK), ROWS)
    message = str(caught.value)
    assert message.startswith("model.onnx ")
    assert ": " in message, "a remedy follows"
    return message


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


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x80\x04pickle", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_onnx_file_is_refused(data: bytes, tmp_path: Path) -> None:
    assert "no ONNX file, or a damaged one" in refusal(tmp_path, data)


def test_a_file_that_was_cut_off_is_refused_wherever_it_was_cut(bank: models.Elsewhere, tmp_path: Path) -> None:
    data = models.linear_graph(bank, models.linear(bank)).SerializeToString()
    for end in np.linspace(1, len(data) - 1, 60).astype(int):
        path = tmp_path / "model.onnx"
        path.write_bytes(data[:end])
        with pytest.raises(ForeignModelError, match=r"model\.onnx"):
            foreign_graph.read_graph(path, BANK)


def test_a_missing_or_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ForeignModelError, match="cannot be read"):
        foreign_graph.read_graph(tmp_path / "model.onnx", BANK)
    monkeypatch.setattr(foreign_graph, "MAX_FILE_BYTES", 2 * 1024**2)
    assert "larger than 2 MiB" in refusal(tmp_path, bytes(2 * 1024**2 + 1))


BRANCH = helper.make_graph(
    [helper.make_node("Identity", ["x"], ["y"])], "branch", [], [helper.make_tensor_value_info("y", 1, None)]
)
CASES: dict[str, tuple[onnx.ModelProto, str]] = {
    "too narrow": (
        graph([helper.make_node("Softmax", ["x"], ["p"])], shape=("rows", 3)),
        r"input has the shape \['rows', 3\]; contract 'bank' has 10 features",
    ),
    "fixed rows": (churners(shape=(1, WIDTH)), "its input is fixed to 1 rows"),
    "no matrix": (graph([helper.make_node("Softmax", ["x"], ["p"])], shape=("rows",)), r"the shape \['rows'\]"),
    "texts": (
        graph([helper.make_node("Identity", ["x"], ["p"])], element=TensorProto.STRING),
        "its input 'x' is string: export it with one float32 input",
    ),
    "doubles": (graph([helper.make_node("Identity", ["x"], ["p"])], element=TensorProto.DOUBLE), "'x' is double"),
    "only a label": (
        graph(
            [helper.make_node("Cast", ["x"], ["p"], to=TensorProto.INT64)],
            outputs=(("p", TensorProto.INT64, ["rows", WIDTH]),),
        ),
        r"no output of numbers \(its outputs: 'p'\)",
    ),
    "two outputs": (
        graph(
            [helper.make_node("Neg", ["x"], ["p"]), helper.make_node("Abs", ["x"], ["q"])],
            outputs=(("p", 1, ["rows", WIDTH]), ("q", 1, ["rows", WIDTH])),
        ),
        "2 outputs that could be the probabilities",
    ),
    "three classes": (
        graph(
            [helper.make_node("MatMul", ["x", "w"], ["p"])],
            weights=(weight("w", np.eye(WIDTH, 3, dtype=np.float32)),),
            outputs=(("p", TensorProto.FLOAT, ["rows", 3]),),
        ),
        r"an output of shape \[3, 3\] for 3 customers",
    ),
    "one score for all": (
        graph(
            [helper.make_node("ReduceMean", ["x"], ["p"], keepdims=0)], outputs=(("p", TensorProto.FLOAT, []),)
        ),
        r"an output of shape \[\] for 3 customers",
    ),
    "an operator of a company": (
        graph([helper.make_node("Scorer", ["x"], ["p"], domain="com.example")], domains=("com.example",)),
        "the operator com.example.Scorer, which is not in the ONNX standard",
    ),
    "a branch": (
        graph(
            [
                helper.make_node("Constant", [], ["c"], value=weight("c", np.array(True))),  # noqa: FBT003 - a tensor
                helper.make_node("If", ["c"], ["p"], then_branch=BRANCH, else_branch=BRANCH),
            ]
        ),
        "the operator If, which runs a graph of its own",
    ),
    "chance": (
        graph([helper.make_node("RandomUniformLike", ["x"], ["p"])]),
        "RandomUniformLike, so that a customer has another score each time",
    ),
    "an invalid graph": (graph([helper.make_node("MatMul", ["x", "nothing"], ["p"])]), "is no valid ONNX graph"),
    "shapes that do not fit": (
        graph([helper.make_node("MatMul", ["x", "w"], ["p"])], weights=(weight("w", np.eye(3, dtype=np.float32)),)),
        "cannot be run by ONNX Runtime",
    ),
    "too much memory": (
        graph(
            [
                helper.make_node("ConstantOfShape", ["size"], ["big"]),
                helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
                helper.make_node("MatMul", ["x", "both"], ["q"]),
                helper.make_node("Add", ["q", "sum"], ["p"]),
            ],
            weights=(weight("size", np.array([2**34])), BOTH),
        ),
        "cannot be run by ONNX Runtime",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("model", "words"), CASES.values(), ids=CASES)
def test_a_graph_that_does_not_fit_is_refused_in_words(model: onnx.ModelProto, words: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, model)
    assert re.search(words, message), message


def test_weights_in_another_file_are_never_looked_for(tmp_path: Path) -> None:
    model = churners()
    (tmp_path / "secret").write_bytes(bytes(4 * WIDTH))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    assert "keeps the weights of 'first' in another file" in refusal(tmp_path, model)


def test_weights_of_an_operator_in_another_file_are_not_looked_for_either(tmp_path: Path) -> None:
    hidden = weight("hidden", np.eye(WIDTH, 2, dtype=np.float32))
    hidden.ClearField("raw_data")
    hidden.data_location = TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="secret")
    model = graph(
        [helper.make_node("Constant", [], ["w"], value=hidden), helper.make_node("MatMul", ["x", "w"], ["p"])]
    )
    assert "keeps the weights of 'hidden' in another file" in refusal(tmp_path, model)


def test_functions_of_a_graph_s_own_are_refused(tmp_path: Path) -> None:
    model = graph([helper.make_node("Twice", ["x"], ["p"], domain="ai.onnx.ml")], domains=("ai.onnx.ml",))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opset = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("ai.onnx.ml", "Twice", ["a"], ["b"], body, opset))
    assert "defines functions of its own (Twice)" in refusal(tmp_path, model)


def test_a_graph_that_takes_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_probe, "SECONDS", 0.01)
    assert "takes more than 0.01 seconds for 1,000 customers" in refusal(tmp_path, churners())


@pytest.mark.parametrize("signal", [6, 11])
def test_a_graph_that_crashes_ends_only_its_own_process(
    signal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crashed:
        returncode, stderr = -signal, ""

    monkeypatch.setattr("training.foreign_probe.subprocess.run", lambda *_, **__: Crashed())
    assert f"crashes ONNX Runtime on 1,000 customers (signal {signal})" in refusal(tmp_path, churners())


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("score", "words"), [(np.nan, "gives nan for row 3"), (1.5, "gives 1.5"), (-0.1, "gives -0.1")]
)
def test_a_score_that_is_no_probability_is_refused(score: float, words: str) -> None:
    scores = np.array([0.0, 1.0, score])
    with pytest.raises(ForeignModelError, match=words):
        foreign_graph.check_scores(Path("model.onnx"), scores, "the customers")
    foreign_graph.check_scores(Path("model.onnx"), scores[:2], "the customers")


def test_a_score_that_depends_on_the_other_customers_is_refused(tmp_path: Path) -> None:
    model = graph(
        [helper.make_node("MatMul", ["x", "first"], ["q"]), helper.make_node("Softmax", ["q"], ["p"], axis=0)],
        weights=(FIRST,),
        outputs=(("p", TensorProto.FLOAT, ["rows", 1]),),
    )
    taken = served(tmp_path, model)
    with pytest.raises(ForeignModelError, match=r"row 1 0\.0\d+ among others and 0\.5\d* alone"):
        foreign_graph.check_alone(Path("model.onnx"), taken, ROWS, onnx_scores(taken, ROWS))
    honest = served(tmp_path, churners(outputs=(("p", TensorProto.FLOAT, ["rows", 1]),)))
    foreign_graph.check_alone(Path("model.onnx"), honest, ROWS, onnx_scores(honest, ROWS))
