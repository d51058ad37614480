"""Ways to spoil a copy of a bundle, with or without making its digests fit again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

from app.bundle import INPUT_NAME, MANIFEST, MODEL, OUTPUT_NAME, digest, sha256

_COLUMNS = 19


def flip_byte(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file in place."""
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def reseal(folder: Path) -> str:
    """Make the manifest fit the files again, as an attacker could, and return the manifest's new sha256."""

    def update(manifest: dict[str, Any]) -> None:
        for name in manifest["files"]:
            manifest["files"][name] = digest(folder / name).model_dump()

    edit_json(folder / MANIFEST, update)
    return sha256((folder / MANIFEST).read_bytes())


def graph(*, source: str = INPUT_NAME, columns: int = _COLUMNS, result: str = OUTPUT_NAME, value: float = 0.5) -> bytes:
    """A tiny graph that gives every customer the same two probabilities."""
    kind = TensorProto.FLOAT
    nodes = [
        helper.make_node("Gather", [source, "first"], ["column"], axis=1),
        helper.make_node("Mul", ["column", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "answer"], [result]),
    ]
    constants = [
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("nothing", kind, [1], [0.0]),
        helper.make_tensor("answer", kind, [2], [1 - value, value]),
    ]
    return _bytes(nodes, constants, source=source, columns=columns, result=result)


def external_graph(location: str) -> bytes:
    """A graph whose 19 x 2 weights are in another file, which no digest of the bundle covers."""
    weights = TensorProto(
        name="weights", data_type=TensorProto.FLOAT, dims=[_COLUMNS, 2], data_location=TensorProto.EXTERNAL
    )
    for key, text in (("location", location), ("offset", "0"), ("length", str(_COLUMNS * 2 * 4))):
        weights.external_data.add(key=key, value=text)
    product = helper.make_node("MatMul", [INPUT_NAME, "weights"], [OUTPUT_NAME])
    return _bytes([product], [weights], source=INPUT_NAME, columns=_COLUMNS, result=OUTPUT_NAME)


def _bytes(nodes: list[Any], constants: list[Any], *, source: str, columns: int, result: str) -> bytes:
    graph_input = helper.make_tensor_value_info(source, TensorProto.FLOAT, [None, columns])
    graph_output = helper.make_tensor_value_info(result, TensorProto.FLOAT, [None, 2])
    whole = helper.make_graph(nodes, "churn", [graph_input], [graph_output], initializer=constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def write_graph(folder: Path, data: bytes) -> str:
    """Replace the graph and make the manifest fit it."""
    (folder / MODEL).write_bytes(data)
    return reseal(folder)
