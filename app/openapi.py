"""The OpenAPI description: FastAPI describes the plain routes, this module the two raw prediction routes.

The schemas of the raw routes come from the contracts of the models that serve, as the validation does.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app import errors, paths
from app.errors import CATALOGUE, MEDIA_TYPE, ProblemBody
from app.paths import ModelPaths, Rule
from app.served import ServedModel
from app.service import Service, served_paths
from app.shapes import NAMES, shapes

_REFERENCE: Final = "#/components/schemas/{model}"
_SECURITY: Final = {
    "ApiKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "BearerKey": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
}
_ALWAYS: Final = (errors.INTERNAL,)
_KEYED: Final = (errors.UNAUTHORIZED, errors.FORBIDDEN)
_BODY: Final = (
    errors.INVALID_JSON,
    errors.REQUEST_TIMEOUT,
    errors.BODY_TOO_LARGE,
    errors.UNSUPPORTED_MEDIA,
    errors.INVALID_INPUT,
    errors.RATE_LIMITED,
    errors.OVERLOADED,
    errors.NO_MODEL,
)
_MAY: Final = {"204": {"description": "It may, with the methods and headers that the answer names"}}
_PREFLIGHT: Final = {
    "tags": ["cross-origin"],
    "summary": "Preflight: may a web page of this origin send its request?",
    "security": [],
    "parameters": [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in ("Origin", "Access-Control-Request-Method")
    ],
}
_DESCRIPTION: Final = """\
Churn predictions from the model that the registry's alias names.

Every error is `application/problem+json` (RFC 9457) with a stable `code`:

| status | code | meaning |
|---:|---|---|
"""


def _problems(*problems: errors.Problem) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, []).append(f"{problem.title} (`{problem.code}`)")
    content = {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model=ProblemBody.__name__)}}}
    return {str(s): {"description": "; ".join(d), "content": content} for s, d in sorted(by_status.items())}


def _json(model: str, example: object = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REFERENCE.format(model=model)}}
    if example is not None:
        content["example"] = example
    return {"application/json": content}


def _raw_operation(summary: str, name: str, body: str, answer: str, example: object) -> dict[str, Any]:
    return {
        "tags": ["prediction"],
        "summary": summary,
        "operationId": name,
        "requestBody": {"required": True, "content": _json(body, example)},
        "responses": {"200": {"description": "Scored", "content": _json(answer)}, **_problems(*_BODY)},
    }


_EXPLAIN: Final = {
    "name": "explain",
    "in": "query",
    "description": "Add each feature's contribution to the logit.",
    "schema": {"type": "boolean", "default": False},
}


_UNKNOWN: Final = {"type": "object", "description": "Known as soon as a version of the model is loaded."}


def _prefix(served: ServedModel, service: Service) -> str:
    """What the names of a model's schemas begin with; nothing for the default model."""
    if served is service.default:
        return ""
    # Two names never meet: within a name "_" is doubled and "." replaced, of which pydantic would keep the end alone.
    return served.name.replace("_", "__").replace(".", "_d") + "_"


def _paths_of(served: ServedModel, at: ModelPaths, prefix: str) -> dict[str, Any]:
    """The two prediction routes of a model, at its paths."""
    customer, batch_request, single, batch = (prefix + name for name in NAMES)
    example = served.live.contract.customer if served.live else None
    one = _raw_operation("Score one customer", f"predict{at.suffix}", customer, single, example)
    one["parameters"] = [_EXPLAIN]
    customers = None if example is None else {"customers": [example]}
    many = _raw_operation("Score many customers", f"predictBatch{at.suffix}", batch_request, batch, customers)
    return {at.predict: {"post": one}, at.batch: {"post": many}}


def _schemas_of(served: ServedModel, prefix: str, max_rows: int) -> dict[str, Any]:
    if served.live is None:
        return {prefix + name: _UNKNOWN for name in NAMES}
    schemas: dict[str, Any] = {}
    for name, shape in shapes(served.live.contract, max_rows, prefix).items():
        schema = shape.model_json_schema(ref_template=_REFERENCE, mode="validation")
        schemas.update(schema.pop("$defs", {}))
        schemas[prefix + name] = schema
    return schemas


def _complete(operations: dict[str, Any], rule: Rule, *, needs_model: bool) -> None:
    """Add what the edge demands of a path and answers for it."""
    problems = _problems(*_ALWAYS, *(_KEYED if rule.scopes else ()), *((errors.NO_MODEL,) if needs_model else ()))
    for operation in operations.values():
        operation["responses"] = problems | operation["responses"]
        if "requestBody" not in operation:
            operation["responses"].pop("422", None)
        if rule.scopes:
            operation["security"] = [{name: []} for name in _SECURITY]


def describe(app: FastAPI, service: Service) -> dict[str, Any]:
    """Build the whole document for the models that serve now; with CORS it has the preflights of browsers too."""
    settings = service.settings
    table = "\n".join(f"| {p.status} | `{p.code}` | {p.title} |" for p in CATALOGUE)
    document = get_openapi(
        title="Churn API", version=app.version, description=_DESCRIPTION + table, routes=app.routes, summary=None
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    schemas = components.setdefault("schemas", {})
    schemas[ProblemBody.__name__] = ProblemBody.model_json_schema(ref_template=_REFERENCE)
    schemas |= schemas[ProblemBody.__name__].pop("$defs", {})
    for served in service.models.values():
        schemas |= _schemas_of(served, _prefix(served, service), settings.max_batch_rows)
    predictions: dict[str, Any] = {}
    need_model: set[str] = set()
    for served, at in served_paths(service):
        predictions |= _paths_of(served, at, _prefix(served, service))
        need_model |= {at.about, at.contract}
    document["paths"] = predictions | document["paths"]
    rules = paths.rules(settings.model_names)
    for path, operations in document["paths"].items():
        _complete(operations, rules[path], needs_model=path in need_model)
        if rules[path].scopes and settings.cors_origins.split():
            refused = _problems(errors.UNAUTHORIZED, errors.METHOD_NOT_ALLOWED)  # to any other origin
            operations["options"] = _PREFLIGHT | {"responses": _MAY | refused}
    return document
