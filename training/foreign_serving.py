"""Gives a checked graph from elsewhere the form that serving runs, and checks what it answers.

A ``ZipMap`` at the end, which makes dictionaries of probabilities, is taken off; the probability of churn alone is
completed by that of staying.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx.compose import add_prefix
from onnx.utils import Extractor

from app.bundle import GOLDEN_TOLERANCE, INPUT_NAME, OUTPUT_NAME
from app.contract import Features, Scores
from app.model import new_session
from training import foreign_probe
from training.export import onnx_scores
from training.foreign_error import ForeignModelError
from training.foreign_graph import valid

_PREFIX: Final = "elsewhere/"
"""Before every name of the graph, so that none of them is one of serving's own."""
_OPSET: Final = 18
"""Of the operators that are added to a graph that has none of the main domain."""
_OPSET_MIN: Final = 9
_FLOATS: Final = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE})
_PROBE_ROWS: Final = 3
_ALONE_ROWS: Final = 5


def as_served(path: Path, graph: onnx.ModelProto, features: Features) -> bytes:
    """Give a checked graph the input and the output that serving reads.

    Args:
        path: of the file, for messages.
        graph: from :func:`training.foreign_graph.read_graph`.
        features: some customers, coded; a few are scored, to see what the output looks like.

    Returns:
        the serialised graph, with input :data:`app.bundle.INPUT_NAME` and output :data:`app.bundle.OUTPUT_NAME`.

    Raises:
        ForeignModelError: it has no output of probabilities, or ONNX Runtime cannot run it.
    """
    with valid(path):
        output, weights = _probabilities(path, graph), {weight.name for weight in graph.graph.initializer}
        (source,) = (value.name for value in graph.graph.input if value.name not in weights)
        pruned = Extractor(_exposed(graph, output)).extract_model([source], [output])
        served = add_prefix(pruned, _PREFIX)
        _rename(served.graph, _PREFIX + source, INPUT_NAME)
        served.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "rows"
    finish(path, served, _PREFIX + output, features)
    return bytes(served.SerializeToString())


def finish(path: Path, served: onnx.ModelProto, output: str, features: Features) -> None:
    """Turn the output named ``output`` into float32 probabilities of shape (rows, 2), as serving reads them.

    Raises:
        ForeignModelError: ONNX Runtime cannot run it, or the output has another shape.
    """
    foreign_probe.probe(path, served.SerializeToString(), output, features)
    probe = np.ascontiguousarray(np.resize(features, (_PROBE_ROWS, features.shape[1])))
    got = np.asarray(new_session(served.SerializeToString()).run([output], {INPUT_NAME: probe})[0])
    if got.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
        raise ForeignModelError(path, f"gives {got.dtype}, not probabilities", "export the output of predict_proba")
    if got.shape not in {(_PROBE_ROWS, 2), (_PROBE_ROWS, 1), (_PROBE_ROWS,)}:
        shape = f"an output of shape {list(got.shape)} for {_PROBE_ROWS} customers"
        remedy = "export probabilities of shape [rows, 2], or [rows, 1] of those who churn"
        raise ForeignModelError(path, f"gives {shape}", remedy)
    _use_opset(path, served)
    nodes, last = served.graph.node, output
    if got.dtype != np.float32:
        nodes.append(onnx.helper.make_node("Cast", [last], [f"{OUTPUT_NAME}/float"], to=onnx.TensorProto.FLOAT))
        last = f"{OUTPUT_NAME}/float"
    if got.shape == (_PROBE_ROWS, 2):
        nodes.append(onnx.helper.make_node("Identity", [last], [OUTPUT_NAME]))
    else:
        served.graph.initializer.extend(
            [
                onnx.numpy_helper.from_array(np.array([-1, 1], dtype=np.int64), f"{OUTPUT_NAME}/column"),
                onnx.numpy_helper.from_array(np.array(1, dtype=np.float32), f"{OUTPUT_NAME}/one"),
            ]
        )
        churn, stay = f"{OUTPUT_NAME}/churn", f"{OUTPUT_NAME}/stay"
        nodes.append(onnx.helper.make_node("Reshape", [last, f"{OUTPUT_NAME}/column"], [churn]))
        nodes.append(onnx.helper.make_node("Sub", [f"{OUTPUT_NAME}/one", churn], [stay]))
        nodes.append(onnx.helper.make_node("Concat", [stay, churn], [OUTPUT_NAME], axis=1))
    del served.graph.output[:]
    served.graph.output.append(
        onnx.helper.make_tensor_value_info(OUTPUT_NAME, onnx.TensorProto.FLOAT, ["rows", 2]),
    )
    del served.graph.value_info[:]


def check_alone(path: Path, graph: bytes, features: Features, scores: Scores) -> None:
    """Check that the score of a customer does not depend on who is scored in the same call.

    Args:
        path: of the file, for messages.
        graph: in the form that serving runs.
        features: coded customers, shape (rows, features).
        scores: of all of them in one call.

    Raises:
        ForeignModelError: it does.
    """
    for row in range(min(_ALONE_ROWS, len(features))):
        alone = float(onnx_scores(graph, np.repeat(features[row : row + 1], 2, axis=0))[0])
        if abs(alone - scores[row]) > GOLDEN_TOLERANCE:
            raise ForeignModelError(
                path, f"scores row {row + 1} {scores[row]:.6f} among others and {alone:.6f} alone",
                "export it so that no operator works across customers",
            )  # fmt: skip


def check_scores(path: Path, probabilities: np.ndarray, rows: str) -> None:
    """Check that every score is a probability, before a figure is computed from them.

    Args:
        path: of the file, for messages.
        probabilities: of churn, shape (rows,).
        rows: what was scored, in words.

    Raises:
        ForeignModelError: a score is not finite, or not between 0 and 1.
    """
    wrong = ~((probabilities >= 0) & (probabilities <= 1))  # NaN compares false
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ForeignModelError(
            path,
            f"gives {probabilities[first]:g} for row {first + 1} of {rows}, which is no probability",
            "export the output of predict_proba, and not that of decision_function or a margin",
        )


def _probabilities(path: Path, graph: onnx.ModelProto) -> str:
    """The name of the tensor with the probabilities."""
    maps = {node.output[0]: node.input[0] for node in graph.graph.node if node.op_type == "ZipMap"}
    names = [
        maps.get(value.name, value.name)
        for value in graph.graph.output
        if value.name in maps or value.type.tensor_type.elem_type in _FLOATS
    ]
    if OUTPUT_NAME in names:
        return OUTPUT_NAME
    if len(names) != 1:
        outputs = ", ".join(repr(value.name) for value in graph.graph.output[:5])
        what = "no output of numbers" if not names else f"{len(names)} outputs that could be the probabilities"
        remedy = f"export only the probabilities, or name their output {OUTPUT_NAME!r}"
        raise ForeignModelError(path, f"has {what} (its outputs: {outputs})", remedy)
    return names[0]


def _exposed(graph: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """The same graph with ``output`` among its outputs, as a tensor of unknown shape if it was an inner one."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    if output not in {value.name for value in copy.graph.output}:
        copy.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    return copy


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = new if value.name == old else value.name


def _use_opset(path: Path, served: onnx.ModelProto) -> None:
    """Make sure that the operators which are added may be used."""
    for opset in served.opset_import:
        if opset.domain in {"", "ai.onnx"}:
            if opset.version < _OPSET_MIN:
                raise ForeignModelError(
                    path, f"was exported for opset {opset.version}", f"export it for opset {_OPSET_MIN} or later"
                )
            return
    served.opset_import.append(onnx.helper.make_opsetid("", _OPSET))
    served.ir_version = max(served.ir_version, 8)
