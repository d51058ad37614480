"""Graphs from elsewhere that must not be run: what is refused, with which words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support import foreign_models as models
from support.foreign_graphs import BOTH, WIDTH, churners, graph, weight

from training import foreign_graph, foreign_probe, foreign_serving
from training.contract_file import read
from training.foreign_error import ForeignModelError

BANK = read(models.BANK)
ROWS = np.random.default_rng(5).uniform(0, 1, (40, WIDTH)).astype(np.float32)


def refusal(folder: Path, model: onnx.ModelProto | bytes) -> str:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(ForeignModelError) as caught:
        foreign_serving.as_served(path, foreign_graph.read_graph(path, BANK), ROWS)
    message = str(caught.value)
    assert message.startswith("model.onnx ")
    assert ": " in message, "a remedy follows"
    return message


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


def test_a_file_with_changed_bytes_is_refused_in_words_or_harmless(
    bank: models.Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Checked(Exception):  # noqa: N818 - no error: it got as far as the process of its own
        pass

    def probe(*_: object) -> None:
        raise Checked

    monkeypatch.setattr(foreign_probe, "probe", probe)
    whole = models.trees_graph(bank, models.trees(bank)).SerializeToString()
    generator = np.random.default_rng(6)
    path, ends = tmp_path / "model.onnx", {ForeignModelError: 0, Checked: 0}
    for _ in range(400):
        data = bytearray(whole)
        for at in generator.integers(0, len(data), generator.integers(1, 4)):
            data[at] = generator.integers(0, 256)
        path.write_bytes(data)
        with pytest.raises((ForeignModelError, Checked)) as caught:
            foreign_serving.as_served(path, foreign_graph.read_graph(path, BANK), ROWS)
        ends[caught.type] += 1
    assert min(ends.values()) > 20


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
