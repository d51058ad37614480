"""Convert the fitted pipeline to the graph that serving runs: float32 codes in, probabilities out."""

from __future__ import annotations

import copy
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx.utils import Extractor
from skl2onnx import convert_sklearn
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from app.bundle import INPUT_NAME, OUTPUT_NAME
from app.contract import Contract
from training.pipeline import CATEGORY_BRANCH, CLASSIFY, ENCODE, NUMBER_BRANCH, SCALE, branches, classifier_parts

_BOOSTING: Final = "SklearnHistGradientBoostingClassifier"
OPSET: Final = {"": 18, "ai.onnx.ml": 3}
"""Supported by every ONNX Runtime since 1.14, and by the server that scores."""


def to_onnx(model: Pipeline, contract: Contract) -> bytes:
    """The graph of a pipeline that was fitted on customers of ``contract``.

    The pipeline reads category names; the graph reads their codes (:class:`app.coding.Coder`), which takes no string
    handling at run time. So a copy is converted whose encoder reads positions and codes instead of names.

    Returns:
        the serialised graph, with input :data:`INPUT_NAME`, float32 (rows, features), and output :data:`OUTPUT_NAME`,
        float32 (rows, 2).
    """
    coded = copy.deepcopy(model)
    classifier, _, _ = classifier_parts(coded)
    boosting = isinstance(classifier, HistGradientBoostingClassifier)
    coded.steps[0] = (ENCODE, _coded_encoder(coded[ENCODE], contract, as_they_are=boosting))
    shape = [None, len(contract.features)]
    if boosting:
        _round_thresholds_down(classifier)
        received = FloatTensorType(shape)
    else:
        # In float32 the terms of a very large bill, some hundreds of logits each, would leave an error of 1e-5.
        received = DoubleTensorType(shape)
    graph = convert_sklearn(
        coded,
        name="churn",
        initial_types=[(INPUT_NAME, received)],
        options={id(coded[CLASSIFY]): {"zipmap": False}},
        target_opset=OPSET,
        **converters(),
    )
    # Nobody reads the label: the decision depends on our own threshold.
    served = Extractor(graph).extract_model([INPUT_NAME], [OUTPUT_NAME])
    if isinstance(received, DoubleTensorType):
        _compute_in_double(served.graph)
    onnx.checker.check_model(served)
    return bytes(served.SerializeToString())


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
        as_they_are: whether the classifier reads the codes and the float32 numbers unchanged, as boosting does.
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


def _round_thresholds_down(classifier: HistGradientBoostingClassifier) -> None:
    """Make the thresholds float32 without moving any float32 value to the other side.

    For a float32 x and a float64 t, x <= t holds exactly when x <= the largest float32 that is not above t.
    """
    for (tree,) in classifier._predictors:  # noqa: SLF001  # scikit-learn has no public access to the fitted trees
        tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])


def round_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 not above each value."""
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


class _IntegerFlags:
    """Passes a converter's nodes on with ``nodes_missing_value_tracks_true`` as integers.

    skl2onnx 1.20 leaves Python booleans in that attribute for leaves, which onnx 1.20 and later refuses.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, nodes_missing_value_tracks_true: list[Any], **attributes: Any) -> None:
        flags = [int(flag) for flag in nodes_missing_value_tracks_true]
        self._container.add_node(*args, nodes_missing_value_tracks_true=flags, **attributes)


def converters() -> dict[str, Any]:
    """Arguments for ``convert_sklearn`` by which it converts boosted trees."""
    return {
        "custom_conversion_functions": {HistGradientBoostingClassifier: _convert_boosting},
        "custom_shape_calculators": {HistGradientBoostingClassifier: get_shape_calculator(_BOOSTING)},
    }


def _convert_boosting(scope: Any, operator: Any, container: Any) -> None:
    get_converter(_BOOSTING)(scope, operator, _IntegerFlags(container))
