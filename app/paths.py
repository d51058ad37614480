"""The paths of the API, and how requests to each are treated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How requests to one path are treated.

    ``route``: the path as metrics and logs have it, without the names of models. ``scopes``: any one of them admits; an
    empty set needs no key. ``weight``: how much a request counts towards MAX_CONCURRENCY; if it is not 0, the request
    also counts towards its key's rate. Probes and look-ups have 0 and are always answered.
    """

    route: str
    scopes: frozenset[str] = frozenset()
    weight: int = 0


UNKNOWN: Final = Rule(route="unknown")
DOCS_FILES: Final = ("/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/favicon.png")
"""Files that the page /docs loads; they are counted as the page itself."""
MODELS: Final = "/v1/models"


@dataclass(frozen=True, slots=True)
class ModelPaths:
    """The paths of one model."""

    predict: str
    batch: str
    contract: str
    about: str
    refresh: str
    suffix: str = ""
    """What distinguishes the ids of these operations from those of the default model's short paths."""


DEFAULT: Final = ModelPaths("/v1/predict", "/v1/predict/batch", "/v1/contract", "/v1/model", "/v1/model/refresh")
"""The short paths of the default model, from before there were several."""


def of_model(name: str) -> ModelPaths:
    """The paths of a model by its name."""
    about = f"{MODELS}/{name}"
    return ModelPaths(f"{about}/predict", f"{about}/batch", f"{about}/contract", about, f"{about}/refresh", f"_{name}")


_TEMPLATE: Final = of_model("{model}")


def predict_scope(model: str) -> str:
    """The scope of a key that may use this model alone; "predict" is for all."""
    return f"predict:{model}"


def rules(models: Sequence[str]) -> dict[str, Rule]:
    """The rule of each path of an API with these models, the default one first."""
    anybody = frozenset({"predict", "admin", *map(predict_scope, models)})
    by_path = {
        MODELS: Rule(route=MODELS, scopes=anybody),
        **{path: Rule(route=path) for path in ("/live", "/ready", "/metrics", "/openapi.json")},
        **dict.fromkeys(("/docs", *DOCS_FILES), Rule(route="/docs")),
        **dict(_model_rules(models[0], DEFAULT, DEFAULT)),
    }
    for name in models:
        by_path |= _model_rules(name, of_model(name), _TEMPLATE)
    return by_path


def _model_rules(model: str, paths: ModelPaths, routes: ModelPaths) -> Iterator[tuple[str, Rule]]:
    predict = frozenset({"predict", predict_scope(model)})
    admin = frozenset({"admin"})
    yield paths.predict, Rule(route=routes.predict, scopes=predict, weight=1)
    yield paths.batch, Rule(route=routes.batch, scopes=predict, weight=8)
    yield paths.contract, Rule(route=routes.contract, scopes=predict | admin)
    yield paths.about, Rule(route=routes.about, scopes=predict | admin)
    yield paths.refresh, Rule(route=routes.refresh, scopes=admin)
