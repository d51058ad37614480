"""Finds a version of a model by number or alias, over MLflow's REST API: its client takes seconds to import."""

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


def fetch(url: str, model_name: str, which: str, folder: Path) -> Registered:
    """Download the bundle of a version into an empty folder, checking every digest on the way.

    Args:
        url: address of MLflow.
        model_name: name of the registered model.
        which: number of the version, or an alias.
        folder: receives the files.

    Raises:
        OpsError: there is no such version; the message names the existing ones.
        NoAnswerError: no usable answer.
        BundleError: the downloaded files differ from the registered ones.
    """

    async def work(registry: Registry) -> Registered:
        registered = await _resolved(registry, model_name, which)
        await registry.download(registered, folder)
        return registered

    return _with_registry(url, model_name, which, work)


def require(url: str, model_name: str, version: str) -> None:
    """Check that a version exists.

    Raises:
        OpsError: it does not; the message names the existing ones.
        NoAnswerError: no usable answer.
    """
    _with_registry(url, model_name, version, lambda registry: _resolved(registry, model_name, version))


def require_model(url: str, model_name: str) -> None:
    """Check that a model is registered; in an empty MLflow the usual one may be missing, since nothing was trained yet.

    If the server gives no usable answer, nothing is checked: what follows says why in its own words.

    Raises:
        OpsError: it is not; the message names the registered ones.
    """
    try:
        names = _with_registry(url, model_name, PRODUCTION, _model_names)
    except NoAnswerError:
        return
    if model_name not in names and (names or model_name != MODEL_NAME):
        raise OpsError(_unknown(model_name, names))


def _with_registry(url: str, model_name: str, which: str, work: Callable[[Registry], Awaitable[_T]]) -> _T:
    number = is_version_number(which)
    alias = PRODUCTION if number else which
    settings = Settings(mlflow_tracking_uri=url, model_alias=alias, auth="off")

    async def run() -> _T:
        registry = NumberedRegistry(settings, model_name, which) if number else Registry(settings, model_name)
        try:
            return await work(registry)
        finally:
            await registry.close()

    return asyncio.run(run())


async def _resolved(registry: Registry, model_name: str, which: str) -> Registered:
    try:
        return await registry.resolve()
    except NoAnswerError:
        # Only a server that answers and has no such version gets this message; any other error is passed on.
        versions, aliases = await _present(registry, model_name)
        if which in versions or which in aliases:
            raise
        if not versions and model_name not in (names := await _model_names(registry)) and names:
            raise OpsError(_unknown(model_name, names)) from None
        raise OpsError(
            f"{model_name!r} has no version or alias {which!r} in MLflow; {_known(versions, aliases)}"
        ) from None


async def _model_names(registry: Registry) -> list[str]:
    answer = await registry.get_json(f"{_API}/registered-models/search", {"max_results": "1000"})
    return sorted(str(model["name"]) for model in answer.get("registered_models", []))


async def _present(registry: Registry, model_name: str) -> tuple[list[str], dict[str, str]]:
    """Return the numbers of the newest versions, and the version of each alias."""
    # Two requests that the API never makes, sent the way it sends its own.
    ask = registry.get_json
    query = {"filter": f"name='{model_name}'", "max_results": "1000", "order_by": "version_number DESC"}
    entries = (await ask(f"{_API}/model-versions/search", query)).get("model_versions", [])
    if not entries:
        return [], {}
    model = (await ask(f"{_API}/registered-models/get", {"name": model_name})).get("registered_model", {})
    aliases = {str(entry["alias"]): str(entry["version"]) for entry in model.get("aliases", [])}
    return [str(entry["version"]) for entry in entries], aliases


def _unknown(model_name: str, names: list[str]) -> str:
    if not names:
        return f"{model_name!r} is no model in MLflow, which has none yet: train it with `churn train`"
    return (
        f"{model_name!r} is no model in MLflow, which has {', '.join(map(repr, names))}: name one of them with "
        f"--model-name, or train {model_name!r} with `churn train`"
    )


def _known(versions: list[str], aliases: dict[str, str]) -> str:
    if not versions:
        return "there is none yet: train one with `churn train`"
    more = f" and {len(versions) - _SHOWN} older ones" if len(versions) > _SHOWN else ""
    named = "".join(f", {alias!r} is version {version}" for alias, version in sorted(aliases.items()))
    return f"there are versions {', '.join(versions[:_SHOWN])}{more}{named}"
