"""Takes a classifier of one's own, ``package.module:function``, and checks early that the platform can carry it."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from training.boosting import EstimatorError, unconvertible, words
from training.estimators import Encoding, Estimator

_PATH: Final = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
_OF_TREES_BY_DEFAULT: Final = (AdaBoostClassifier, BaggingClassifier)
_TREES: Final = (
    DecisionTreeClassifier,
    ExtraTreeClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
_TREE_LIBRARIES: Final = ("lightgbm", "xgboost")


def load(path: str, seed: int) -> Estimator:
    """The classifier that a function of the user's makes.

    The function gets the argument ``seed`` if it takes one. Every ``random_state`` that it leaves unset becomes the
    seed, so that a run can be repeated. A classifier of trees gets the ordinal coding, any other the one-hot coding,
    unless an attribute ``encoding`` of the function says which.

    Args:
        path: ``package.module:function``, in the current folder or installed.
        seed: with which the classifier is made once, to be checked.

    Raises:
        EstimatorError: there is no such function, or what it makes cannot be calibrated or converted.
    """
    function = _function(path)
    stated = getattr(function, "encoding", None)
    if stated is not None and stated not in get_args(Encoding):
        raise EstimatorError(f"{path}.encoding is {stated!r}: it must be {' or '.join(map(repr, get_args(Encoding)))}")
    classifier = _made(path, function, seed)
    for name in ("fit", "get_params", "set_params"):
        if not callable(getattr(classifier, name, None)):
            raise EstimatorError(
                f"{path} made a {_type(classifier)}, which has no {name}: return a classifier like scikit-learn's"
            )
    if not any(hasattr(classifier, name) for name in ("predict_proba", "decision_function")):
        raise EstimatorError(
            f"{path} made a {_type(classifier)}, which has neither predict_proba nor decision_function: "
            "scores are calibrated, so one of them is needed"
        )
    if refused := unconvertible(classifier):
        raise EstimatorError(f"{path}: {refused}")
    return Estimator(
        model_type="custom",
        encoding=stated or _usual_encoding(classifier),
        make=lambda seed: _seeded(_made(path, function, seed), seed),
    )


def _function(path: str) -> Callable[..., Any]:
    if not (parts := _PATH.fullmatch(path)):
        raise EstimatorError(f"estimator {path!r}: write package.module:function, such as mine:forest")
    module, name = parts.groups()
    # The folder of a program on PATH stands first there, not the current one; last, it hides no library.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise EstimatorError(f"{module} needs the module {error.name}, which is not installed") from error
        raise EstimatorError(
            f"there is no module {error.name!r}, neither in {here} nor installed: correct {path!r}, or go to its folder"
        ) from error
    except Exception as error:  # whatever the module does when it is imported
        raise EstimatorError(f"{module} fails when it is imported: {words(error)}") from error
    function = getattr(loaded, name, None)
    if not callable(function):
        what = "is not a function" if hasattr(loaded, name) else "does not exist"
        defined = [
            k for k, v in vars(loaded).items() if callable(v) and getattr(v, "__module__", None) == loaded.__name__
        ]
        raise EstimatorError(f"{name!r} in {module} {what}; functions there: {', '.join(sorted(defined)) or 'none'}")
    return function  # type: ignore[no-any-return]  # an attribute of a module


def _made(path: str, function: Callable[..., Any], seed: int) -> Any:
    try:
        takes_seed = "seed" in inspect.signature(function).parameters
        return function(seed=seed) if takes_seed else function()
    except Exception as error:  # whatever the function does
        raise EstimatorError(f"{path} fails: {words(error)}") from error


def _seeded(classifier: Any, seed: int) -> Any:
    unset = [
        name
        for name, value in classifier.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state" and value is None
    ]
    return classifier.set_params(**dict.fromkeys(unset, seed)) if unset else classifier


def _usual_encoding(classifier: Any) -> Encoding:
    member = classifier.estimator if isinstance(classifier, _OF_TREES_BY_DEFAULT) else classifier
    library = type(member).__module__.partition(".")[0]
    return "ordinal" if member is None or isinstance(member, _TREES) or library in _TREE_LIBRARIES else "one_hot"


def _type(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
