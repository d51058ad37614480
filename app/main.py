"""The application: everything is injected here, nothing lives in a module."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
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
from app.parsing import Parser
from app.routes import docs, health, model
from app.routes.predict import PredictBatch, PredictOne
from app.service import Service
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
    follower = Follower(service, lambda: _open_registry(settings)) if settings.model_source == FROM_REGISTRY else None
    if follower is None:
        service.put_into_service(load(Path(settings.model_source)))

    async def refresh() -> None:
        if follower is not None:
            follower.forget_refusal()
            await follower.refresh()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(service.close)
            await _start(service, follower, stack)
            yield

    app = FastAPI(
        title="Churn API",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # app.routes.docs serves it, without any other host
        redoc_url=None,
        redirect_slashes=False,
    )
    parser = Parser(settings.max_batch_rows)
    raw: dict[str, ASGIApp] = {
        "/v1/predict": PredictOne(service, parser),
        "/v1/predict/batch": PredictBatch(service, parser),
    }
    app.router.routes.extend(Route(path, endpoint, methods=["POST"]) for path, endpoint in raw.items())
    app.include_router(model.router(service, refresh))
    app.include_router(health.router(service))
    app.router.routes.extend(docs.routes(app.title, str(app.openapi_url)))
    app.add_exception_handler(HTTPException, _to_the_edge)
    _add_edge(app, service, raw)
    app.state.service = service
    _describe(app, settings.max_batch_rows, cross_origin=bool(settings.cors_origins.split()))
    return app


def _describe(app: FastAPI, max_batch_rows: int, *, cross_origin: bool) -> None:
    """Let the application build its OpenAPI page when it is first asked for."""
    description: dict[str, Any] = {}

    def describe() -> dict[str, Any]:
        if not description:
            description.update(openapi.describe(app, max_batch_rows, cross_origin=cross_origin))
        return description

    app.openapi = describe  # type: ignore[method-assign]  # the documented way to extend the page


def _add_edge(app: FastAPI, service: Service, raw: dict[str, ASGIApp]) -> None:
    """Put the edge around the application, and around that the marks for web pages, if there are any."""
    origins = AllowedOrigins(names) if (names := service.settings.cors_origins.split()) else None
    app.add_middleware(Edge, service=service, raw=raw, origins=origins)
    if origins is not None:
        app.add_middleware(Marking, allowed=origins)


def _open_registry(settings: Settings) -> Registry:
    from app.registry import Registry  # noqa: PLC0415 - see Follower.refresh

    return Registry(settings)


def _to_the_edge(_: Request, error: Exception) -> Response:
    raise error  # the edge turns every error into a problem of the catalogue; the framework's own shape never shows


async def _start(service: Service, follower: Follower | None, stack: contextlib.AsyncExitStack) -> None:
    tasks = [asyncio.create_task(watch_keys(service))]
    if service.gate is not None:
        tasks.append(asyncio.create_task(service.gate.watch()))
    if follower is not None:
        await follower.start()
        tasks.append(asyncio.create_task(follower.run()))

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if follower is not None:
            await follower.close()

    stack.push_async_callback(stop)
