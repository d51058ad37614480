"""The OpenAPI description: FastAPI describes the plain routes, this module the two raw prediction routes.

The schemas of the raw routes come from the same pydantic models that validate them, so the page stays complete.
"""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from app import errors
from app.edge import RULES
from app.errors import CATALOGUE, MEDIA_TYPE, ProblemBody
from app.routes.predict import BatchPrediction, BatchRequest, SinglePrediction
from app.schemas import EXAMPLE, Customer

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


def _json(reference: type[BaseModel], example: object = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REFERENCE.format(model=reference.__name__)}}
    if example is not None:
        content["example"] = example
    return {"application/json": content}


def _raw_operation(
    summary: str, name: str, body: type[BaseModel], answer: type[BaseModel], example: object
) -> dict[str, Any]:
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


def _raw_paths() -> dict[str, Any]:
    one = _raw_operation("Score one customer", "predict", Customer, SinglePrediction, dict(EXAMPLE))
    one["parameters"] = [_EXPLAIN]
    batch = _raw_operation(
        "Score many customers", "predictBatch", BatchRequest, BatchPrediction, {"customers": [dict(EXAMPLE)]}
    )
    return {"/v1/predict": {"post": one}, "/v1/predict/batch": {"post": batch}}


def _schemas(max_rows: int) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in (Customer, BatchRequest, SinglePrediction, BatchPrediction, ProblemBody):
        schema = model.model_json_schema(ref_template=_REFERENCE, mode="validation")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    # The column name in a file is a fact for this project, not for clients.
    schemas = json.loads(json.dumps(schemas), object_hook=lambda o: {k: v for k, v in o.items() if k != "ibm_name"})
    schemas[BatchRequest.__name__]["additionalProperties"] = False
    schemas[BatchRequest.__name__]["properties"]["customers"] |= {"minItems": 1, "maxItems": max_rows}
    return schemas


def describe(app: FastAPI, max_rows: int, *, cross_origin: bool = False) -> dict[str, Any]:
    """Build the whole document; ``cross_origin`` adds the preflights of browsers."""
    table = "\n".join(f"| {p.status} | `{p.code}` | {p.title} |" for p in CATALOGUE)
    document = get_openapi(
        title="Churn API", version=app.version, description=_DESCRIPTION + table, routes=app.routes, summary=None
    )
    document["paths"] = _raw_paths() | document["paths"]
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_schemas(max_rows))
    components["securitySchemes"] = _SECURITY
    for path, operations in document["paths"].items():
        scopes = RULES[path].scopes
        for operation in operations.values():
            problems = _problems(*_ALWAYS, *(_KEYED if scopes else ()))
            if path == "/v1/model":
                problems |= _problems(errors.NO_MODEL)
            operation["responses"] = problems | operation["responses"]
            operation["responses"].pop("422", None) if "requestBody" not in operation else None
            if scopes:
                operation["security"] = [{name: []} for name in _SECURITY]
        if scopes and cross_origin:
            refused = _problems(errors.UNAUTHORIZED, errors.METHOD_NOT_ALLOWED)  # to any other origin
            operations["options"] = _PREFLIGHT | {"responses": _MAY | refused}
    return document
