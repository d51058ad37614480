"""``/live``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from app.service import Service


class Live(BaseModel):
    """The process runs. Nothing else is looked at, so no outage elsewhere restarts it."""

    status: Literal["alive"] = "alive"


class RegistryReport(BaseModel):
    """What is known of the model registry."""

    reachable: bool | None = Field(description="null before the first look-up, and for a local folder.")
    last_success: float | None = Field(description="Unix time of its last answer.")
    last_error: str | None
    refused: str | None = Field(description="The version, or the local copy, that was refused, and why.")
    moved_by_hand: str | None = Field(
        description="The version that the alias was moved to outside of `churn`; null if `churn` put it there."
    )


class Ready(BaseModel):
    """Whether requests should be sent here: a verified model is loaded and the process is not stopping."""

    status: Literal["ready", "starting", "draining"]
    model_version: str | None
    model_source: str | None = Field(description="'registry', 'cache' (the verified local copy) or 'folder'.")
    registry: RegistryReport


def report(service: Service) -> Ready:
    """The state that ``/ready`` tells."""
    counters = service.metrics.model
    state = service.registry
    return Ready(
        status="draining" if service.draining else "ready" if counters else "starting",
        model_version=counters.model.origin.version if counters else None,
        model_source=counters.model.origin.source if counters else None,
        registry=RegistryReport(
            reachable=state.reachable,
            last_success=state.last_success,
            last_error=state.last_error,
            refused=state.refused,
            moved_by_hand=state.moved_by_hand,
        ),
    )


def router(service: Service) -> APIRouter:
    """Probes and the scrape."""
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
