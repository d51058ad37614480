"""An MLflow registry in memory, for failures that a real one cannot be made to have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.bundle import MANIFEST, MANIFEST_TAG, STAGE_TAG, sha256
from app.names import MODEL_NAME
from app.registry import Registry
from app.settings import Settings

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
_ALIAS = "/api/2.0/mlflow/registered-models/alias"
_WHERE = "/api/2.0/mlflow/model-versions/get-download-uri"


@dataclass
class FakeMlflow:
    """Versions by number, each the folder of a bundle; ``alias`` names the one that the alias points to."""

    versions: dict[str, Path] = field(default_factory=dict)
    alias: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    """By version, manifest digests that differ from those of the folders."""
    more_tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By version, tags added to those of a promoted version, or replacing them."""
    overrides: dict[str, Callable[[httpx.Request], httpx.Response]] = field(default_factory=dict)
    """Answers by the end of a path."""
    requests: list[httpx.Request] = field(default_factory=list)
    name: str = MODEL_NAME
    """Of the registered model that it has."""

    def registry(self, settings: Settings, name: str | None = None) -> Registry:
        """A registry client that talks to this server."""
        registry = Registry(settings, name or settings.model_names[0])
        registry._http = httpx.AsyncClient(
            transport=httpx.MockTransport(self._answer),
            base_url=registry._http.base_url,
            timeout=settings.registry_timeout_seconds,
        )
        return registry

    def fail(self, error: Exception | None = None, *, on: str = "") -> None:
        """Make every request whose path ends with ``on`` fail as an unreachable server does."""

        def refuse(request: httpx.Request) -> httpx.Response:
            raise error or httpx.ConnectError("refused", request=request)

        self.overrides[on] = refuse

    def answer(self, end: str, status: int = 200, *, json: Any = None, content: bytes | None = None) -> None:
        """Set the answer to requests whose path ends with ``end``."""
        self.overrides[end] = lambda _: (
            httpx.Response(status, content=content) if content is not None else (httpx.Response(status, json=json))
        )

    @property
    def downloads(self) -> list[str]:
        """Names of the files fetched so far."""
        return [r.url.path.rpartition("/")[2] for r in self.requests if r.url.path.startswith(_ARTIFACTS)]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        for end, answer in self.overrides.items():
            if path.endswith(end):
                return answer(request)
        if path == _ALIAS:
            return self._version(request.url.params)
        if path == _WHERE:
            number = request.url.params["version"]
            return httpx.Response(200, json={"artifact_uri": f"mlflow-artifacts:/models/{number}/artifacts"})
        number, _, name = path.removeprefix(_ARTIFACTS + "models/").partition("/artifacts/serving/")
        file = self.versions[number] / name
        return httpx.Response(200, content=file.read_bytes()) if file.is_file() else httpx.Response(404)

    def _version(self, asked: Mapping[str, str]) -> httpx.Response:
        if self.alias is None or dict(asked) != {"name": self.name, "alias": "production"}:
            return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such alias"})
        digest = self.tags.get(self.alias) or sha256((self.versions[self.alias] / MANIFEST).read_bytes())
        tags = {MANIFEST_TAG: digest, STAGE_TAG: "Production", "other": "x"} | self.more_tags.get(self.alias, {})
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        return httpx.Response(200, json={"model_version": {"version": self.alias, "tags": listed}})
