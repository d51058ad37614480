"""Small ONNX graphs made by hand, as nobody else exports them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH: Final = 10
"""Features of the bank's contract."""


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
