"""``/live``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from app.service import RegistryReport, Service


class Live(BaseModel):
    """The process runs. Nothing else is looked at, so no outage elsewhere restarts it."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether requests should be sent here: a verified model is loaded and the process is not stopping."""

    status: Literal["ready", "starting", "draining"]
    model_version: str | None
    model_source: str | None = Field(description="'registry', 'cache' (the verified local copy) or 'folder'.")
    registry: RegistryReport


def report(service: Service) -> Ready:
    """The state that ``/ready`` reports."""
    counters = service.live
    return Ready(
        status="draining" if service.draining else "ready" if counters else "starting",
        model_version=counters.model.origin.version if counters else None,
        model_source=counters.model.origin.source if counters else None,
        registry=service.registry,
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
