"""Corrects the converters of trees, which would otherwise export other models than were fitted.

Each compares float32 features with thresholds in float64, which the converters round to the nearest float32: a value at
the threshold may end on the other side. And those of XGBoost and LightGBM always give probabilities, while the
calibration reads the sum of the trees.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from skl2onnx import update_registered_converter
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.ensemble import HistGradientBoostingClassifier

_HIST: Final = "SklearnHistGradientBoostingClassifier"
_CHOICES: Final = {"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]}
_convert_hist: Final = get_converter(_HIST)


def register(*, round_down_thresholds: bool = True) -> None:
    """Tell the exporter about these converters; those of a library that is not loaded have nothing to convert.

    Args:
        round_down_thresholds: right for a model that reads float32. One that was fitted on float64 has thresholds that
            its values may equal, and both are rounded to the nearest float32 then.
    """
    options = {**_CHOICES, "output_class_labels": [False, True]}
    update_registered_converter(
        HistGradientBoostingClassifier,
        _HIST,
        get_shape_calculator(_HIST),
        _hist if round_down_thresholds else _nearest_hist,
        options=options,
    )
    if "xgboost" in sys.modules:
        _register_xgboost()
    if "lightgbm" in sys.modules:
        _register_lightgbm(round_down_thresholds=round_down_thresholds)


def _register_xgboost() -> None:
    # Imported here: the libraries are an extra.
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost  # noqa: PLC0415
    from xgboost import XGBClassifier  # noqa: PLC0415

    from training.xgboost_margin import MarginClassifier  # noqa: PLC0415

    def convert(scope: Any, operator: Any, container: Any) -> None:
        convert_xgboost(scope, operator, _as_asked(container, operator.raw_operator))

    for kind in (XGBClassifier, MarginClassifier):
        _register(kind, convert)


def _register_lightgbm(*, round_down_thresholds: bool) -> None:
    from lightgbm import LGBMClassifier  # noqa: PLC0415  # an extra
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm  # noqa: PLC0415

    def convert(scope: Any, operator: Any, container: Any) -> None:
        fitted = operator.raw_operator
        exact = copy.copy(fitted)
        if round_down_thresholds:
            exact._Booster = _rounded_booster(fitted.booster_)  # noqa: SLF001  # there is no public way to set one
        convert_lightgbm(scope, _Replaced(operator, exact), _as_asked(container, fitted))

    _register(LGBMClassifier, convert)


def _register(kind: type, convert: Callable[[Any, Any, Any], None]) -> None:
    update_registered_converter(
        kind, f"Churn{kind.__name__}", calculate_linear_classifier_output_shapes, convert, options=_CHOICES
    )


class _Replaced:
    """An operator of the exporter whose classifier is another one."""

    def __init__(self, operator: Any, classifier: Any) -> None:
        self._operator = operator
        self.raw_operator = classifier

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operator, name)


class _Sums:
    """Passes a converter's nodes on, with the sum of the trees instead of its sigmoid."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, *args: Any, **attributes: Any) -> None:
        if op_type == "TreeEnsembleClassifier":
            attributes["post_transform"] = "NONE"
        self._container.add_node(op_type, *args, **attributes)


def _as_asked(container: Any, classifier: Any) -> Any:
    """The container for a converter's nodes: one for sums of trees where the option ``raw_scores`` asks for them."""
    return _Sums(container) if container.get_options(classifier, {}, fail=False).get("raw_scores") else container


def _rounded_booster(booster: Any) -> Any:
    """A copy of LightGBM's trees with float32 thresholds; the sizes of trees in its text no longer hold, and may go."""
    from lightgbm import Booster  # noqa: PLC0415  # an extra

    lines = []
    for line in booster.model_to_string().splitlines():
        name, _, values = line.partition("=")
        if name == "threshold":
            exact = round_down(np.array(values.split(), dtype=np.float64)).astype(np.float64)
            lines.append(f"{name}={' '.join(map(repr, exact.tolist()))}")
        elif name != "tree_sizes":
            lines.append(line)
    return Booster(model_str="\n".join(lines) + "\n")


def round_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 not above each value.

    For a float32 x and a float64 t, x <= t holds exactly when x <= the largest float32 that is not above t.
    """
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


def _hist(scope: Any, operator: Any, container: Any) -> None:
    """Convert scikit-learn's boosting; the classifier belongs to the exporter's copy of the model, and is changed."""
    for (tree,) in operator.raw_operator._predictors:  # noqa: SLF001  # there is no public access to the fitted trees
        tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])
    _nearest_hist(scope, operator, container)


def _nearest_hist(scope: Any, operator: Any, container: Any) -> None:
    _convert_hist(scope, operator, _IntegerFlags(container))
