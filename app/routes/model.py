"""``GET /v1/model`` and ``POST /v1/model/refresh``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.bundle import RiskBands
from app.metrics import ModelCounters
from app.routes.health import Ready, report
from app.service import Service


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


def _describe(counters: ModelCounters) -> ModelReport:
    model = counters.model
    manifest, origin = model.manifest, model.origin
    return ModelReport(
        name=manifest.model_name,
        version=origin.version,
        alias=origin.alias,
        source=origin.source,
        model_type=manifest.model_type,
        contract=manifest.customers.name,
        contract_sha256=manifest.customers.sha256,
        threshold=manifest.threshold,
        risk_bands=manifest.risk_bands,
        metrics=manifest.metrics,
        run_id=manifest.run_id,
        git_revision=manifest.git_revision,
        dataset_sha256=manifest.dataset_sha256,
        trained_at=manifest.created_at,
        loaded_at=datetime.fromtimestamp(model.loaded_at, UTC),
    )


def router(service: Service, refresh: Callable[[], Awaitable[None]]) -> APIRouter:
    """The routes that describe the live model and look for a new version at once."""
    routes = APIRouter(prefix="/v1/model", tags=["model"])

    @routes.get("", summary="Which model answers?")
    async def model() -> ModelReport:
        return _describe(service.counters)

    @routes.post("/refresh", summary="Look the alias up now instead of at the next poll")
    async def refresh_now() -> Ready:
        await refresh()
        return report(service)

    return routes
