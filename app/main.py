"""The application: everything is injected here, nothing lives in a module."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from app import __version__, openapi
from app.cors import AllowedOrigins, Marking
from app.edge import Edge
from app.follower import Follower
from app.key_watch import watch_keys
from app.model import load
from app.routes import docs, health, model
from app.routes.predict import PredictBatch, PredictOne
from app.served import ServedModel
from app.service import Service, served_paths
from app.settings import Settings

if TYPE_CHECKING:
    from app.registry import Registry

FROM_REGISTRY: Final = "mlflow"


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """Build the API.

    Args:
        settings: see :class:`app.settings.Settings`.
        service: the shared state, for tests that bring their own; built from the settings otherwise.

    Returns:
        The ASGI application. Its lifespan loads the first model and follows the alias.

    Raises:
        BundleError: MODEL_SOURCE is a folder without a model that may be served.
    """
    service = service or Service(settings)
    followers: dict[str, Follower] = {}
    if settings.model_source == FROM_REGISTRY:
        followers = {name: _follower(served, settings) for name, served in service.models.items()}
    else:
        folder = Path(settings.model_source)
        for name, served in service.models.items():
            served.put_into_service(served.prepare(load(folder / name if len(service.models) > 1 else folder)))

    async def refresh(served: ServedModel) -> None:
        if (follower := followers.get(served.name)) is not None:
            follower.forget_refusal()
            await follower.refresh()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(service.close)
            await _start(service, list(followers.values()), stack)
            yield

    app = FastAPI(
        title="Churn API",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # app.routes.docs serves it, without any other host
        redoc_url=None,
        redirect_slashes=False,
    )
    raw = _prediction_routes(service)
    app.router.routes.extend(Route(path, endpoint, methods=["POST"]) for path, endpoint in raw.items())
    app.include_router(model.router(service, refresh))
    app.include_router(health.router(service))
    app.router.routes.extend(docs.routes(app.title, str(app.openapi_url)))
    app.add_exception_handler(HTTPException, _to_the_edge)
    _add_edge(app, service, raw)
    app.state.service = service
    _describe(app, service)
    return app


def _prediction_routes(service: Service) -> dict[str, ASGIApp]:
    raw: dict[str, ASGIApp] = {}
    for served, at in served_paths(service):
        raw |= {at.predict: PredictOne(service, served), at.batch: PredictBatch(service, served)}
    return raw


def _describe(app: FastAPI, service: Service) -> None:
    """Let the application build its OpenAPI page when it is first asked for, and again for other contracts."""
    pages: dict[tuple[str | None, ...], dict[str, Any]] = {}

    def describe() -> dict[str, Any]:
        contracts = tuple(served.live.contract.sha256 if served.live else None for served in service.models.values())
        if contracts not in pages:
            pages.clear()
            pages[contracts] = openapi.describe(app, service)
        return pages[contracts]

    app.openapi = describe  # type: ignore[method-assign]  # the documented way to extend the page


def _add_edge(app: FastAPI, service: Service, raw: dict[str, ASGIApp]) -> None:
    """Put the edge around the application, and around that the marks for web pages, if there are any."""
    origins = AllowedOrigins(names) if (names := service.settings.cors_origins.split()) else None
    app.add_middleware(Edge, service=service, raw=raw, origins=origins)
    if origins is not None:
        app.add_middleware(Marking, allowed=origins)


def _follower(served: ServedModel, settings: Settings) -> Follower:
    return Follower(served, settings, lambda: _open_registry(settings, served.name))


def _open_registry(settings: Settings, model_name: str) -> Registry:
    from app.registry import Registry  # noqa: PLC0415 - see Follower.refresh

    return Registry(settings, model_name)


def _to_the_edge(_: Request, error: Exception) -> Response:
    raise error  # the edge turns every error into a problem of the catalogue; the framework's own shape never shows


async def _start(service: Service, followers: Sequence[Follower], stack: contextlib.AsyncExitStack) -> None:
    tasks = [asyncio.create_task(watch_keys(service))]
    if service.gate is not None:
        tasks.append(asyncio.create_task(service.gate.watch()))
    for follower in followers:
        await follower.start()
        tasks.append(asyncio.create_task(follower.run()))

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for follower in followers:
            await follower.close()

    stack.push_async_callback(stop)
