"""Takes a scikit-learn pipeline that was fitted elsewhere on raw customers: loads it without pickle, and converts it.

skl2onnx converts such a pipeline to a graph with one input per column, of texts and numbers. Serving has one matrix of
codes instead (:class:`app.coding.Coder`), so the graph gets operators in front that give each category its name back.
"""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import skops.io
from onnx.compose import add_prefix, merge_models
from onnx.utils import Extractor
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from app.bundle import INPUT_NAME
from app.contract import Contract, Features, Scores
from training import tree_converters
from training.export import onnx_scores
from training.foreign_error import ForeignModelError
from training.foreign_graph import bounded_bytes
from training.foreign_serving import finish
from training.native import EVERY_TRUSTED_TYPE
from training.onnx_graph import OPSET, to_onnx
from training.pipeline import CLASSIFY, ENCODE

_UNPACKED_BYTES_MAX: Final = 1024**3
_LABELS_OPSET: Final = 2
_PREFIX: Final = "elsewhere/"
_REASON_LENGTH: Final = 300
_EXPORT: Final = "export it to ONNX over the coded features (docs/registering.md), and register that"


def read_pipeline(path: Path, contract: Contract, trusted: Sequence[str]) -> Pipeline:
    """Load a fitted pipeline that reads the contract's features by their names.

    Args:
        path: a file that skops wrote.
        contract: what the customers look like.
        trusted: types that the file may hold besides those that skops and this project trust.

    Raises:
        ForeignModelError: it cannot be loaded, holds other types, or is no such pipeline.
    """
    data = bounded_bytes(path)
    _check_types(path, data, trusted)
    with _plain_errors(path):
        model = skops.io.loads(data, trusted=sorted(EVERY_TRUSTED_TYPE | set(trusted)))
    _check_kind(path, model, contract)
    return model


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Turn whatever skops raises into an error about the file; a damaged one fails in many ways."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        raise ForeignModelError(
            path, f"cannot be loaded by skops {skops.__version__} ({reason})",
            "save it with skops.io.dump, by the scikit-learn version that is installed here",
        ) from error  # fmt: skip


def _check_types(path: Path, data: bytes, trusted: Sequence[str]) -> None:
    """Check size and types before anything is loaded."""
    with _plain_errors(path):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(part.file_size for part in archive.infolist())
        unknown = [] if size > _UNPACKED_BYTES_MAX else sorted(set(skops.io.get_untrusted_types(data=data)))
    if size > _UNPACKED_BYTES_MAX:
        limit = f"{_UNPACKED_BYTES_MAX // 1024**2:,} MiB"
        raise ForeignModelError(path, f"unpacks to {size // 1024**2:,} MiB", f"a model may take up to {limit}")
    if unknown := [name for name in unknown if name not in EVERY_TRUSTED_TYPE and name not in trusted]:
        options = " ".join(f"--trust {name}" for name in unknown)
        raise ForeignModelError(
            path, f"holds types that are not trusted: {', '.join(unknown)}",
            f"if you know that they are harmless, add {options}",
        )  # fmt: skip


def _check_kind(path: Path, model: Any, contract: Contract) -> None:
    """Check that it is a classifier of two classes over features of the contract."""
    if not isinstance(model, Pipeline) or not hasattr(model, "predict_proba"):
        what = f"holds a {type(model).__name__}, and not a fitted pipeline with predict_proba"
        raise ForeignModelError(path, what, "save the whole pipeline, from the raw columns to the probability")
    classes = [str(name) for name in getattr(model, "classes_", ())]
    if len(classes) != 2:  # noqa: PLR2004 - stays or churns
        raise ForeignModelError(path, f"has the classes {classes}", "train it on two, of which the second means churn")
    columns = [str(name) for name in getattr(model, "feature_names_in_", ())]
    if not columns:
        remedy = "fit it on a table whose columns have the contract's names"
        raise ForeignModelError(path, "does not know the names of its columns", remedy)
    if unknown := [name for name in columns if name not in contract.by_name]:
        raise ForeignModelError(
            path, f"reads {', '.join(unknown)}, which contract {contract.name!r} does not have",
            "give its columns the contract's names, or add the features to the contract",
        )  # fmt: skip


def pipeline_graph(
    path: Path, model: Pipeline, contract: Contract, *, features: Features, scores: Scores, limit: float
) -> bytes:
    """Convert a pipeline to the graph that serving runs.

    Args:
        path: of its file, for messages.
        model: from :func:`read_pipeline`.
        contract: what the customers look like.
        features: customers, coded.
        scores: their scores by the pipeline itself.
        limit: largest difference between these and the scores of the graph.

    Raises:
        ForeignModelError: there is no conversion, or none that gives the same scores.
    """
    # Nobody says whether it was fitted on float32 or float64, and the thresholds of trees depend on that.
    attempts: list[Callable[[], bytes]] = [
        partial(_converted, path, model, contract, features, kind=kind, round_down_thresholds=rounded)
        for rounded in (False, True)
        for kind in (FloatTensorType, DoubleTensorType)
    ]
    if _is_ours(model):
        attempts = [partial(to_onnx, model, contract)]
    reasons = []
    for attempt in attempts:
        try:
            graph = attempt()
            difference = float(np.abs(onnx_scores(graph, features) - scores).max())
        except Exception as error:  # noqa: BLE001 - skl2onnx raises what the model's own code raises
            reasons.append(" ".join(str(error).split())[:_REASON_LENGTH])
            continue
        if difference <= limit:
            return graph
        reasons.append(f"a score of the graph differs from the pipeline's by {difference:.2g}, and {limit:g} may be")
    raise ForeignModelError(path, f"cannot be converted ({'; '.join(dict.fromkeys(reasons))})", _EXPORT)


def _is_ours(model: Pipeline) -> bool:
    """Whether it has the form of a pipeline that `churn train` fits."""
    return list(model.named_steps) == [ENCODE, CLASSIFY] and isinstance(model[CLASSIFY], CalibratedClassifierCV)


def _converted(
    path: Path, model: Pipeline, contract: Contract, features: Features, *, kind: type, round_down_thresholds: bool
) -> bytes:
    """The graph over codes; numbers are read as ``kind``."""
    columns = [str(name) for name in model.feature_names_in_]
    types = [
        (name, StringTensorType([None, 1]) if contract.by_name[name].is_category else kind([None, 1]))
        for name in columns
    ]
    tree_converters.register(round_down_thresholds=round_down_thresholds)
    model = copy.deepcopy(model)  # the converters change thresholds
    raw = convert_sklearn(
        model,
        name="churn",
        initial_types=types,
        options={id(model): {"zipmap": False}},
        target_opset=OPSET,
    )
    output = next(value.name for value in raw.graph.output if "prob" in value.name.lower())
    pruned = Extractor(raw).extract_model([value.name for value in raw.graph.input], [output])
    # skl2onnx lowers the versions to what the model needs; the names of categories need 2 of the second domain.
    versions = {opset.domain: opset.version for opset in pruned.opset_import}
    versions["ai.onnx.ml"] = max(versions.get("ai.onnx.ml", 1), _LABELS_OPSET)
    decoder = _decoder(contract, columns, kind)
    for graph in (decoder, pruned):
        del graph.opset_import[:]
        graph.opset_import.extend(onnx.helper.make_opsetid(*item) for item in versions.items())
    decoder.ir_version = pruned.ir_version
    served = merge_models(
        decoder,
        add_prefix(pruned, _PREFIX),
        io_map=[(f"decoded/{name}", f"{_PREFIX}{name}") for name in columns if name in _inputs(pruned)],
    )
    finish(path, served, f"{_PREFIX}{output}", features)
    onnx.checker.check_model(served)
    return bytes(served.SerializeToString())


def _inputs(graph: onnx.ModelProto) -> set[str]:
    return {value.name for value in graph.graph.input}


def _decoder(contract: Contract, columns: Sequence[str], kind: type) -> onnx.ModelProto:
    """A graph from the matrix of codes to one column per feature: the name of a category, or a number."""
    make, tensor = onnx.helper.make_node, onnx.TensorProto
    number = tensor.DOUBLE if kind is DoubleTensorType else tensor.FLOAT
    nodes, outputs, weights = [], [], []
    for name in columns:
        feature, code = contract.by_name[name], f"code/{name}"
        position = np.array([contract.names.index(name)], dtype=np.int64)
        weights.append(onnx.numpy_helper.from_array(position, f"position/{name}"))
        nodes.append(make("Gather", [INPUT_NAME, f"position/{name}"], [code], axis=1))
        if feature.is_category:
            nodes.append(make("Cast", [code], [f"index/{name}"], to=tensor.INT64))
            nodes.append(
                make(
                    "LabelEncoder",
                    [f"index/{name}"],
                    [f"decoded/{name}"],
                    domain="ai.onnx.ml",
                    keys_int64s=list(range(len(feature.categories))),
                    values_strings=list(feature.categories),
                )
            )
        else:
            nodes.append(make("Cast", [code], [f"decoded/{name}"], to=number))
        element = tensor.STRING if feature.is_category else number
        outputs.append(onnx.helper.make_tensor_value_info(f"decoded/{name}", element, ["rows", 1]))
    matrix = onnx.helper.make_tensor_value_info(INPUT_NAME, tensor.FLOAT, ["rows", len(contract.features)])
    graph = onnx.helper.make_graph(nodes, "decoder", [matrix], outputs, weights)
    return onnx.helper.make_model(graph)
