"""The native scikit-learn model of a version: saved by skops, and loaded only after a check of its digest.

MLflow's own loader reads the list of trusted types from the model's MLmodel file, where a forged model would name its
own. So a native model is never loaded through MLflow; serving does not load one at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import skops.io
from sklearn.pipeline import Pipeline

from app.bundle import sha256
from training.config import ModelType, VersionType

FILE: Final = "model.skops"
DIGEST_TAG: Final = "native_sha256"
"""Version tag with the sha256 of the native model's file."""

_CALIBRATION: Final = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
)
_TREES: Final = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "sklearn.tree._tree.Tree")
_XGBOOST: Final = ("xgboost.core.Booster", "xgboost.sklearn.XGBClassifier")
_LIGHTGBM: Final = ("collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier")
TRUSTED_TYPES: Final[dict[ModelType, list[str]]] = {
    "logistic_regression": [*_CALIBRATION, "numpy.float32", "numpy.float64"],
    # A forged tree may point outside its arrays and crash the process: another reason to check the digest first.
    "gradient_boosting": [*_CALIBRATION, "numpy.float32", _TREES[0]],
    "xgboost": [*_CALIBRATION, "numpy.float32", _XGBOOST[0], "training.xgboost_margin.MarginClassifier"],
    "lightgbm": [*_CALIBRATION, "numpy.float32", *_LIGHTGBM],
    "custom": [
        *_CALIBRATION,
        "numpy.float32",
        "numpy.float64",
        *_TREES,
        *_XGBOOST,
        *_LIGHTGBM,
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._bunch.Bunch",
    ],
}
"""The only types that a native model may hold besides skops' own defaults. One from elsewhere has those that a person
named, so it is not here."""


EVERY_TRUSTED_TYPE: Final = frozenset[str]().union(*TRUSTED_TYPES.values())
"""Those that a pipeline from elsewhere may hold without anybody's word."""


class NativeModelError(Exception):
    """A native model that must not be loaded."""


def load_native(path: Path, model_type: VersionType, digest: str) -> Pipeline:
    """Load a native model.

    Args:
        path: of the file written by skops.
        digest: sha256 of the file, from the version's tag :data:`DIGEST_TAG`.

    Raises:
        NativeModelError: it is not the registered file, or it was trained elsewhere.
    """
    if model_type == "foreign":
        raise NativeModelError(f"{path.name}: trained elsewhere, and its types were trusted for its registration alone")
    data = path.read_bytes()
    if sha256(data) != digest:
        raise NativeModelError(f"{path.name}: its sha256 is not the registered one ({DIGEST_TAG})")
    return skops.io.loads(data, trusted=TRUSTED_TYPES[model_type])


def untrusted_types(model: Pipeline, model_type: ModelType) -> list[str]:
    """Names of the types in a model that a native file of its kind must not hold; empty if it may be saved."""
    return sorted(set(skops.io.get_untrusted_types(data=skops.io.dumps(model))) - set(TRUSTED_TYPES[model_type]))
