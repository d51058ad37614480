"""``/live``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from app.served import RegistryReport, ServedModel
from app.service import Service


class Live(BaseModel):
    """The process runs. Nothing else is looked at, so no outage elsewhere restarts it."""

    status: Literal["alive"] = "alive"


class ModelState(BaseModel):
    """One model: what answers, and what is known of its registry."""

    name: str
    model_version: str | None
    model_source: str | None = Field(description="'registry', 'cache' (the verified local copy) or 'folder'.")
    registry: RegistryReport


class Ready(BaseModel):
    """Whether requests should be sent here: verified models are loaded and the process is not stopping.

    A model without a good version does not take the others away: once each was tried, one that answers is enough.
    """

    status: Literal["ready", "starting", "draining"]
    model_version: str | None = Field(description="Of the default model, as the next two.")
    model_source: str | None
    registry: RegistryReport
    models: list[ModelState] = Field(description="The default model first.")


def state(served: ServedModel) -> ModelState:
    """What is known of one model."""
    live = served.live
    return ModelState(
        name=served.name,
        model_version=live.model.origin.version if live else None,
        model_source=live.model.origin.source if live else None,
        registry=served.registry,
    )


def report(service: Service) -> Ready:
    """The state that ``/ready`` reports."""
    models = service.models.values()
    ready = any(served.live for served in models) and all(served.live or served.tried for served in models)
    states = [state(served) for served in models]
    default = states[0]
    return Ready(
        status="draining" if service.draining else "ready" if ready else "starting",
        model_version=default.model_version,
        model_source=default.model_source,
        registry=default.registry,
        models=states,
    )


def router(service: Service) -> APIRouter:
    """The routes of the probes and of the Prometheus scrape."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/live", summary="Is the process alive?")
    async def live() -> Live:
        return Live()

    @routes.get("/ready", summary="May it get requests?", responses={503: {"model": Ready, "description": "Not now"}})
    async def ready(response: Response) -> Ready:
        state = report(service)
        response.status_code = 200 if state.status == "ready" else 503
        return state

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes
