"""The routes that describe models and their contracts, and that look for a new version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app import paths
from app.bundle import RiskBands
from app.paths import ModelPaths
from app.routes.health import ModelState, Ready, report, state
from app.served import ServedModel
from app.service import Service, served_paths


class ModelReport(BaseModel):
    """The model that answers now."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    version: str
    alias: str | None
    source: str = Field(description="'registry', 'cache' (the verified local copy) or 'folder'.")
    model_type: str
    contract: str = Field(description="Name of the contract of its customers; GET /v1/contract gives it.")
    contract_sha256: str
    threshold: float
    risk_bands: RiskBands
    metrics: dict[str, float] = Field(description="Measured on the hold-out at training.")
    run_id: str
    git_revision: str | None
    dataset_sha256: str
    trained_at: datetime
    loaded_at: datetime


def _describe(served: ServedModel) -> ModelReport:
    model = served.current.model
    manifest, origin = model.manifest, model.origin
    return ModelReport(
        name=manifest.model_name,
        version=origin.version,
        alias=origin.alias,
        source=origin.source,
        model_type=manifest.model_type,
        contract=model.contract.name,
        contract_sha256=model.contract.sha256,
        threshold=manifest.threshold,
        risk_bands=manifest.risk_bands,
        metrics=manifest.metrics,
        run_id=manifest.run_id,
        git_revision=manifest.git_revision,
        dataset_sha256=manifest.dataset_sha256,
        trained_at=manifest.created_at,
        loaded_at=datetime.fromtimestamp(model.loaded_at, UTC),
    )


class ModelNames(BaseModel):
    """The models of this API, the default one first, and which can answer now."""

    models: list[ModelState]


def router(service: Service, refresh: Callable[[ServedModel], Awaitable[None]]) -> APIRouter:
    """The routes that describe models and contracts, and look for a new version at once."""
    routes = APIRouter(tags=["model"])

    @routes.get(paths.MODELS, summary="Which models are there?")
    async def models() -> ModelNames:
        return ModelNames(models=[state(served) for served in service.models.values()])

    for served, at in served_paths(service):
        _add_routes(routes, service, served, at, refresh)
    return routes


def _add_routes(
    routes: APIRouter,
    service: Service,
    served: ServedModel,
    at: ModelPaths,
    refresh: Callable[[ServedModel], Awaitable[None]],
) -> None:
    @routes.get(at.about, summary="Which version answers?", operation_id=_operation("model", at))
    async def model() -> ModelReport:
        return _describe(served)

    @routes.post(
        at.refresh, summary="Look the alias up now instead of at the next poll", operation_id=_operation("refresh", at)
    )
    async def refresh_now() -> Ready:
        await refresh(served)
        return report(service)

    @routes.get(
        at.contract,
        summary="What are its customers?",
        operation_id=_operation("contract", at),
        response_class=Response,
        responses={
            200: {"content": {"application/json": {"schema": {"type": "object"}}}},
            304: {"description": "The client has it already"},
        },
    )
    async def contract(request: Request) -> Response:
        contract = served.current.contract
        etag = f'"{contract.sha256}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if etag in _tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        return Response(contract.canonical, media_type="application/json", headers=headers)


def _operation(action: str, at: ModelPaths) -> str | None:
    """The id of an operation of a model; None for the short paths, whose ids FastAPI makes."""
    return action + at.suffix if at.suffix else None


def _tags(header: str) -> set[str]:
    """The entity tags of an If-None-Match header, weak ones too: the comparison is the weak one of RFC 9110, 13.1.2."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
