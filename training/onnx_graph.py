"""Convert the fitted pipeline to the graph that serving runs: float32 codes in, probabilities out."""

from __future__ import annotations

import copy
from typing import Any, Final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from onnx.utils import Extractor
from skl2onnx import convert_sklearn
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from app.bundle import INPUT_NAME, OUTPUT_NAME
from app.contract import Contract
from training import tree_converters
from training.pipeline import (
    CATEGORY_BRANCH,
    CLASSIFY,
    DECISION,
    ENCODE,
    NUMBER_BRANCH,
    SCALE,
    branches,
    classifier_parts,
    encoding_of,
)

OPSET: Final = {"": 18, "ai.onnx.ml": 3}
"""Supported by every ONNX Runtime since 1.14, and by the server that scores."""


def to_onnx(model: Pipeline, contract: Contract) -> bytes:
    """The graph of a pipeline that was fitted on customers of ``contract``.

    The pipeline reads category names; the graph reads their codes (:class:`app.coding.Coder`), which takes no string
    handling at run time. So a copy is converted whose encoder reads positions and codes instead of names. The
    calibration is appended here: the converter's own takes probabilities for scores where the classifier is a pipeline.

    Returns:
        the serialised graph, with input :data:`INPUT_NAME`, float32 (rows, features), and output :data:`OUTPUT_NAME`,
        float32 (rows, 2).
    """
    coded = copy.deepcopy(model)
    classifier, slope, offset = classifier_parts(coded)
    as_they_are = encoding_of(model) == "ordinal"
    shape = [None, len(contract.features)]
    # In float32 the terms of a very large bill, some hundreds of logits each, would leave an error of 1e-5.
    received = FloatTensorType(shape) if as_they_are else DoubleTensorType(shape)
    steps = [(ENCODE, _coded_encoder(coded[ENCODE], contract, as_they_are=as_they_are)), *_steps(CLASSIFY, classifier)]
    tree_converters.register()
    graph = convert_sklearn(
        Pipeline(steps),
        name="churn",
        initial_types=[(INPUT_NAME, received)],
        options={id(steps[-1][1]): _options(steps[-1][1])},
        target_opset=OPSET,
    )
    # Nobody reads the label: the decision depends on our own threshold.
    served = Extractor(graph).extract_model([INPUT_NAME], [OUTPUT_NAME])
    _calibrate(served.graph, slope, offset, onnx.TensorProto.FLOAT if as_they_are else onnx.TensorProto.DOUBLE)
    if not as_they_are:
        _compute_in_double(served.graph)
    onnx.checker.check_model(served)
    return bytes(served.SerializeToString())


def _steps(name: str, classifier: Any) -> list[tuple[str, Any]]:
    """A classifier as steps of one pipeline: its own steps if it is a pipeline itself."""
    if not isinstance(classifier, Pipeline):
        return [(name, classifier)]
    used = [(part, step) for part, step in classifier.steps if step is not None and step != "passthrough"]
    return [inner for part, step in used for inner in _steps(f"{name}_{part}", step)]


def _options(classifier: Any) -> dict[str, bool]:
    """What its converter has to give: a matrix, of the scores that the calibration was fitted to."""
    name = sklearn_operator_name_map.get(type(classifier))
    allowed = get_converter(name).get_allowed_options() or {} if name else {}
    options = {"zipmap": False, "raw_scores": True}
    if not hasattr(classifier, DECISION):
        del options["raw_scores"]
    elif name and "raw_scores" not in allowed:
        raise ValueError("its converter does not give its decision_function, which the calibration reads")
    return {option: value for option, value in options.items() if option in allowed}


def _calibrate(graph: onnx.GraphProto, slope: float, offset: float, computed: int) -> None:
    """Append p = 1 / (1 + exp(slope * f + offset)), with f the second column of the classifier's output.

    Args:
        computed: ONNX's number of the type in which the graph computes.
    """
    scores, score, wide, exponent = (f"{OUTPUT_NAME}_{part}" for part in ("scores", "score", "wide", "exponent"))
    for node in graph.node:
        node.output[:] = [scores if name == OUTPUT_NAME else name for name in node.output]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(computed)
    constants = {"slope": slope, "offset": offset, "one": 1.0}
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(value, dtype=dtype), f"calibration_{name}")
        for name, value in constants.items()
    )
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, dtype=np.int64), "calibration_column"))
    make = onnx.helper.make_node
    graph.node.extend(
        [
            make("ArrayFeatureExtractor", [scores, "calibration_column"], [score], domain="ai.onnx.ml"),
            make("Cast", [score], [wide], to=computed),  # sums of trees are float32 whatever they are made from
            make("Mul", ["calibration_slope", wide], ["calibration_product"]),
            make("Add", ["calibration_product", "calibration_offset"], [exponent]),
            make("Exp", [exponent], ["calibration_power"]),
            make("Add", ["calibration_one", "calibration_power"], ["calibration_denominator"]),
            make("Div", ["calibration_one", "calibration_denominator"], ["calibration_churn"]),
            make("Sub", ["calibration_one", "calibration_churn"], ["calibration_stay"]),
            make("Concat", ["calibration_stay", "calibration_churn"], [OUTPUT_NAME], axis=1),
        ]
    )
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(OUTPUT_NAME, computed, [None, 2]))


def _compute_in_double(graph: onnx.GraphProto) -> None:
    """Make a graph that computes in doubles accept and return float32.

    The last bit of a double may depend on how many rows are scored together; rounded to float32 it is gone.
    """
    wide_input, wide_output = f"{INPUT_NAME}_double", f"{OUTPUT_NAME}_double"
    for node in graph.node:
        node.input[:] = [wide_input if name == INPUT_NAME else name for name in node.input]
        node.output[:] = [wide_output if name == OUTPUT_NAME else name for name in node.output]
    cast = onnx.helper.make_node
    graph.node.insert(0, cast("Cast", [INPUT_NAME], [wide_input], to=onnx.TensorProto.DOUBLE))
    graph.node.append(cast("Cast", [wide_output], [OUTPUT_NAME], to=onnx.TensorProto.FLOAT))
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _coded_encoder(fitted: ColumnTransformer, contract: Contract, *, as_they_are: bool) -> ColumnTransformer:
    """The same transformation over the float32 matrix of codes instead of the frame of names.

    Args:
        as_they_are: whether the classifier reads the codes and the float32 numbers unchanged, as trees do.
    """
    positions = {branch: [contract.names.index(name) for name in names] for branch, names in branches(contract).items()}
    steps: dict[str, Any] = dict.fromkeys(positions, "passthrough")
    if not as_they_are:
        if CATEGORY_BRANCH in positions:
            one_hot = fitted.named_transformers_[CATEGORY_BRANCH]
            one_hot.categories_ = [np.arange(len(names), dtype=np.float32) for names in one_hot.categories_]
            steps[CATEGORY_BRANCH] = one_hot
        if NUMBER_BRANCH in positions:
            steps[NUMBER_BRANCH] = fitted.named_transformers_[NUMBER_BRANCH][SCALE]
    coded = ColumnTransformer([(name, steps[name], columns) for name, columns in positions.items()])
    coded.transformers_ = [(name, steps[name], columns) for name, columns in positions.items()]
    coded.n_features_in_ = len(contract.names)
    coded.sparse_output_ = False
    return coded
