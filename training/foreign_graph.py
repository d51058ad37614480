"""Takes an ONNX graph that was made elsewhere: checks it as hostile input, and gives it the shape that serving runs.

Only the operators of the ONNX standard are allowed, without loops or functions of the graph's own, so that what it
does is bounded by its size; its weights are all in the file. A ``ZipMap`` at the end, which makes dictionaries of
probabilities, is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError

from app.bundle import MAX_FILE_BYTES
from app.contract import Contract
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
    with valid(path):
        _check_operators(path, graph)
        _check_weights(path, graph)
        onnx.checker.check_model(graph)
        _check_input(path, graph, contract)
    return graph


@contextmanager
def valid(path: Path) -> Iterator[None]:
    """Turn what else is raised by work on a graph into an error about its file.

    A damaged one has texts that are no texts, or names of nothing, on which other libraries fail in many ways.
    """
    try:
        yield
    except ForeignModelError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        raise ForeignModelError(path, f"is no valid ONNX graph ({reason})", "export it again") from error


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
