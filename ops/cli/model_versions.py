"""Finds a version of the model by number or alias, over MLflow's REST API: its client takes seconds to import."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from app.bundle import NoAnswerError, Registered
from app.names import MODEL_NAME, PRODUCTION
from app.registry import Registry
from app.settings import Settings
from ops.cli.options import is_version_number
from ops.errors import OpsError

_API: Final = "/api/2.0/mlflow"
_BY_ALIAS: Final = f"{_API}/registered-models/alias"
_SHOWN: Final = 20
_T = TypeVar("_T")


class NumberedRegistry(Registry):
    """The API's registry client, made to follow one version instead of an alias."""

    def __init__(self, settings: Settings, model_name: str, version: str) -> None:
        super().__init__(settings, model_name)
        self._version = version

    async def get_json(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        if path == _BY_ALIAS:
            # The answer has the same shape, so it is read and checked in the same way.
            path, params = f"{_API}/model-versions/get", {"name": params["name"], "version": self._version}
        return await super().get_json(path, params)


def fetch(url: str, which: str, folder: Path) -> Registered:
    """Download the bundle of a version into an empty folder, checking every digest on the way.

    Args:
        url: address of MLflow.
        which: number of the version, or an alias.
        folder: receives the files.

    Raises:
        OpsError: there is no such version; the message names the existing ones.
        NoAnswerError: no usable answer.
        BundleError: the downloaded files differ from the registered ones.
    """

    async def work(registry: Registry) -> Registered:
        registered = await _resolved(registry, which)
        await registry.download(registered, folder)
        return registered

    return _with_registry(url, which, work)


def require(url: str, version: str) -> None:
    """Check that a version exists.

    Raises:
        OpsError: it does not; the message names the existing ones.
        NoAnswerError: no usable answer.
    """
    _with_registry(url, version, lambda registry: _resolved(registry, version))


def _with_registry(url: str, which: str, work: Callable[[Registry], Awaitable[_T]]) -> _T:
    number = is_version_number(which)
    alias = PRODUCTION if number else which
    settings = Settings(mlflow_tracking_uri=url, model_alias=alias, auth="off")

    async def run() -> _T:
        registry = NumberedRegistry(settings, MODEL_NAME, which) if number else Registry(settings, MODEL_NAME)
        try:
            return await work(registry)
        finally:
            await registry.close()

    return asyncio.run(run())


async def _resolved(registry: Registry, which: str) -> Registered:
    try:
        return await registry.resolve()
    except NoAnswerError:
        # Only a server that answers and has no such version gets this message; any other error is passed on.
        versions, aliases = await _present(registry)
        if which in versions or which in aliases:
            raise
        raise OpsError(
            f"{MODEL_NAME!r} has no version or alias {which!r} in MLflow; {_known(versions, aliases)}"
        ) from None


async def _present(registry: Registry) -> tuple[list[str], dict[str, str]]:
    """Return the numbers of the newest versions, and the version of each alias."""
    # Two requests that the API never makes, sent the way it sends its own.
    ask = registry.get_json
    query = {"filter": f"name='{MODEL_NAME}'", "max_results": "1000", "order_by": "version_number DESC"}
    entries = (await ask(f"{_API}/model-versions/search", query)).get("model_versions", [])
    if not entries:
        return [], {}
    model = (await ask(f"{_API}/registered-models/get", {"name": MODEL_NAME})).get("registered_model", {})
    aliases = {str(entry["alias"]): str(entry["version"]) for entry in model.get("aliases", [])}
    return [str(entry["version"]) for entry in entries], aliases


def _known(versions: list[str], aliases: dict[str, str]) -> str:
    if not versions:
        return "there is none yet: train one with `churn train`"
    more = f" and {len(versions) - _SHOWN} older ones" if len(versions) > _SHOWN else ""
    named = "".join(f", {alias!r} is version {version}" for alias, version in sorted(aliases.items()))
    return f"there are versions {', '.join(versions[:_SHOWN])}{more}{named}"
