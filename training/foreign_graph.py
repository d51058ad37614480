"""Takes an ONNX graph that was made elsewhere: checks it as hostile input, and gives it the shape that serving runs.

Only the operators of the ONNX standard are allowed, without loops or functions of the graph's own, so that what it
does is bounded by its size; its weights are all in the file. A ``ZipMap`` at the end, which makes dictionaries of
probabilities, is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx.compose import add_prefix
from onnx.utils import Extractor

from app.bundle import GOLDEN_TOLERANCE, INPUT_NAME, MAX_FILE_BYTES, OUTPUT_NAME
from app.contract import Contract, Features, Scores
from app.model import new_session
from training import foreign_probe
from training.export import onnx_scores
from training.foreign_error import ForeignModelError

_PREFIX: Final = "elsewhere/"
"""Before every name of the graph, so that none of them is one of serving's own."""
_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_RANDOM: Final = frozenset({"Bernoulli", "Multinomial"})
_OPSET: Final = 18
"""Of the operators that are added to a graph that has none of the main domain."""
_OPSET_MIN: Final = 9
_FLOATS: Final = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.DOUBLE: "float64"}
_PROBE_ROWS: Final = 3
_ALONE_ROWS: Final = 5
_REASON_LENGTH: Final = 300


def read_graph(path: Path, contract: Contract) -> onnx.ModelProto:
    """Read a graph, and check everything about it that needs no run.

    Raises:
        ForeignModelError: it cannot be read, or must not be run.
    """
    data = bounded_bytes(path)
    try:
        graph = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ForeignModelError(path, f"is no ONNX file, or a damaged one ({error})", "export it again") from error
    if not graph.graph.node:
        raise ForeignModelError(path, "has no operators, so it is no ONNX file, or a damaged one", "export it again")
    _check_operators(path, graph)
    _check_weights(path, graph)
    try:
        onnx.checker.check_model(graph)
    except (onnx.checker.ValidationError, EncodeError, ValueError) as error:
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        raise ForeignModelError(path, f"is no valid ONNX graph ({reason})", "export it again") from error
    _check_input(path, graph, contract)
    return graph


def bounded_bytes(path: Path) -> bytes:
    """The bytes of a model's file.

    Raises:
        ForeignModelError: it cannot be read, or is larger than a model in service may be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ForeignModelError(path, f"cannot be read ({error.strerror})", "name the file of the model") from error
    if len(data) > MAX_FILE_BYTES:
        limit = f"{MAX_FILE_BYTES // 1024**2} MiB"
        raise ForeignModelError(path, f"is larger than {limit}, the most that is served", "train a smaller model")
    return data


def as_served(path: Path, graph: onnx.ModelProto, features: Features) -> bytes:
    """Give a checked graph the input and the output that serving reads.

    Args:
        path: of the file, for messages.
        graph: from :func:`read_graph`.
        features: some customers, coded; a few are scored, to see what the output looks like.

    Returns:
        the serialised graph, with input :data:`app.bundle.INPUT_NAME` and output :data:`app.bundle.OUTPUT_NAME`.

    Raises:
        ForeignModelError: it has no output of probabilities, or ONNX Runtime cannot run it.
    """
    source, output = graph.graph.input[-1].name, _probabilities(path, graph)
    for value in graph.graph.input:
        if value.name not in {weight.name for weight in graph.graph.initializer}:
            source = value.name
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


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor with weights: initializers, and values that operators carry with them."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _check_operators(path: Path, graph: onnx.ModelProto) -> None:
    if graph.functions:
        names = ", ".join(sorted({function.name for function in graph.functions})[:3])
        raise ForeignModelError(path, f"defines functions of its own ({names})", "export it with standard operators")
    for node in graph.graph.node:
        if node.domain not in _DOMAINS:
            raise ForeignModelError(
                path, f"uses the operator {node.domain}.{node.op_type}, which is not in the ONNX standard",
                "export it with standard operators",
            )  # fmt: skip
        if node.op_type.startswith("Random") or node.op_type in _RANDOM:
            raise ForeignModelError(
                path, f"uses the operator {node.op_type}, so that a customer has another score each time",
                "export it for prediction",
            )  # fmt: skip
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise ForeignModelError(
                path, f"uses the operator {node.op_type}, which runs a graph of its own, perhaps for ever",
                "export it without loops and branches",
            )  # fmt: skip


def _check_weights(path: Path, graph: onnx.ModelProto) -> None:
    for tensor in _graph_tensors(graph.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ForeignModelError(
                path, f"keeps the weights of {tensor.name!r} in another file",
                "save it in one file (onnx.save_model with save_as_external_data=False)",
            )  # fmt: skip


def _check_input(path: Path, graph: onnx.ModelProto, contract: Contract) -> None:
    """Check that the one input is the matrix of coded features."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in weights]
    expected = f"one float32 input [rows, {len(contract.features)}] of coded features (docs/registering.md)"
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs[:5])
        raise ForeignModelError(path, f"has {len(inputs)} inputs ({names})", f"export it with {expected}")
    kind = inputs[0].type.tensor_type
    if kind.elem_type != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower() if kind.elem_type else "no tensor"
        raise ForeignModelError(path, f"its input {inputs[0].name!r} is {name}", f"export it with {expected}")
    dims = kind.shape.dim
    if len(dims) != 2 or (dims[1].HasField("dim_value") and dims[1].dim_value != len(contract.features)):  # noqa: PLR2004 - rows and columns
        shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims]
        raise ForeignModelError(
            path, f"its input has the shape {shape}; contract {contract.name!r} has {len(contract.features)} features",
            f"export it with {expected}",
        )  # fmt: skip
    if dims[0].HasField("dim_value"):
        raise ForeignModelError(
            path, f"its input is fixed to {dims[0].dim_value} rows", "export it with a variable number of rows"
        )
    dims[1].dim_value = len(contract.features)


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
