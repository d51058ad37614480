"""The API's client of the MLflow registry: finds the version that an alias names, and downloads its bundle.

Three documented REST calls and no MLflow import: the client library would triple the memory and the start time of this
process. Artifacts come through the tracking server (``mlflow server --serve-artifacts``), so the API needs no
credentials of the artifact store.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic_core import from_json

from app import bundle
from app.bundle import BundleError, NoAnswerError, Registered
from app.settings import Settings
from app.verification import check_file, check_override, parse_manifest

_API: Final = "/api/2.0/mlflow"
_PROXIED: Final = "mlflow-artifacts:"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_VERSION: Final = re.compile(r"[0-9]{1,18}")
_MISSING: Final = "no such model, alias or version; deleting a version in MLflow deletes its aliases"
_MAX_ANSWER_BYTES: Final = 1024 * 1024
_BYTES_PER_TIMEOUT: Final = 1024 * 1024
"""A large file may take REGISTRY_TIMEOUT_SECONDS longer for each of these."""


class Registry:
    """A small client; every call is bounded in time and size."""

    def __init__(self, settings: Settings, model_name: str) -> None:
        """Look for the versions of one registered model; nothing is asked yet."""
        self._settings = settings
        self._model_name = model_name
        self._http = httpx.AsyncClient(
            base_url=settings.mlflow_tracking_uri.rstrip("/"),
            timeout=settings.registry_timeout_seconds,
            follow_redirects=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def resolve(self) -> Registered:
        """Ask which version the followed alias names now.

        Raises:
            NoAnswerError: no answer, no such model or alias, or artifacts that the server does not hand out.
        """
        name, alias = self._model_name, self._settings.model_alias
        answer = await self.get_json(f"{_API}/registered-models/alias", {"name": name, "alias": alias})
        try:
            entry = answer["model_version"]
            version = str(entry["version"])
            tags = {tag["key"]: tag["value"] for tag in entry.get("tags", [])}
        except (KeyError, TypeError) as error:
            raise NoAnswerError(f"the answer for {name}@{alias} has no {error}") from error
        if not _VERSION.fullmatch(version):
            raise NoAnswerError(f"the version of {name}@{alias} is {version[:32]!r}, not a number")
        where = await self.get_json(f"{_API}/model-versions/get-download-uri", {"name": name, "version": version})
        uri = str(where.get("artifact_uri", ""))
        if not uri.startswith(_PROXIED):
            raise NoAnswerError(
                f"the artifacts of version {version} are at {uri.partition(':')[0]}:, out of reach for the API; "
                "run the tracking server with --serve-artifacts --artifacts-destination"
            )
        try:
            path = httpx.URL(uri).path.strip("/")
        except (httpx.InvalidURL, ValueError) as error:
            raise NoAnswerError(f"the artifacts of version {version} have no usable address: {error}") from error
        stage = bundle.STAGES.get(alias)
        return Registered(
            version=version,
            manifest_sha256=str(tags.get(bundle.MANIFEST_TAG, "")),
            override_sha256=str(tags.get(bundle.OVERRIDE_TAG, "")),
            breaks_sha256=str(tags.get(bundle.BREAKS_TAG, "")),
            by_hand=stage is not None and tags.get(bundle.STAGE_TAG) != stage,
            artifact_path=path,
        )

    async def download(self, registered: Registered, folder: Path) -> None:
        """Download a version's bundle, and its override if it has one, into an empty folder, checking each digest.

        Raises:
            NoAnswerError: the server stopped answering.
            BundleError: what arrived is not what was registered, or no digest was registered.
        """
        if not _SHA256.fullmatch(registered.manifest_sha256):
            raise BundleError(f"it has no sha256 in the tag {bundle.MANIFEST_TAG}: register it with `churn train`")
        data = await self._artifact(registered, bundle.MANIFEST, bundle.MAX_MANIFEST_BYTES)
        manifest = parse_manifest(data, registered.manifest_sha256)
        (folder / bundle.MANIFEST).write_bytes(data)
        if registered.override_sha256:
            data = await self._artifact(registered, bundle.OVERRIDE, bundle.MAX_OVERRIDE_BYTES)
            check_override(data, registered.override_sha256)
            (folder / bundle.OVERRIDE).write_bytes(data)
        for name, expected in manifest.files.items():
            data = await self._artifact(registered, name, expected.bytes)
            check_file(name, data, expected)
            (folder / name).write_bytes(data)

    async def _artifact(self, registered: Registered, name: str, max_bytes: int) -> bytes:
        path = f"{registered.artifact_path}/{bundle.ARTIFACT_FOLDER}/{name}"
        status, data = await self._get(f"/api/2.0/mlflow-artifacts/artifacts/{path}", None, max_bytes)
        if status == httpx.codes.NOT_FOUND:
            raise BundleError(f"{name}: missing among the artifacts of version {registered.version}")
        self._check(status, f"artifact {name}")
        if len(data) > max_bytes:
            raise BundleError(f"{name}: larger than the {max_bytes} bytes it may have")
        return data

    async def get_json(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        status, data = await self._get(path, params, _MAX_ANSWER_BYTES)
        self._check(status, f"{params}")
        try:
            # Not json.loads: deep nesting makes it raise RecursionError.
            answer = from_json(data) if len(data) <= _MAX_ANSWER_BYTES else None
        except ValueError as error:
            raise NoAnswerError(f"{self._address}: the answer is not JSON; is this an MLflow server?") from error
        if not isinstance(answer, dict):
            raise NoAnswerError(f"{self._address}: the answer is not a JSON object; is this an MLflow server?")
        return answer

    async def _get(self, path: str, params: dict[str, str] | None, max_bytes: int) -> tuple[int, bytes]:
        """Return status and body; a body longer than ``max_bytes`` is cut soon after that."""
        # The client's own time-outs apply to single reads: a server that sends byte by byte would never reach them.
        seconds = self._settings.registry_timeout_seconds * (1 + max_bytes / _BYTES_PER_TIMEOUT)
        data = bytearray()
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream("GET", path, params=params, auth=self._auth()) as response,
            ):
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > max_bytes:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NoAnswerError(f"no answer from MLflow at {self._address}: {type(error).__name__}") from error
        return response.status_code, bytes(data)

    @staticmethod
    def _check(status: int, asked: str) -> None:
        if status == httpx.codes.OK:
            return
        hint = {
            401: "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            403: "check the user's permissions, and --allowed-hosts of the MLflow server",
            400: _MISSING,  # MLflow's answer for an alias that the model does not have
            404: _MISSING,
        }.get(status, "see the MLflow server's log")
        raise NoAnswerError(f"MLflow answered {status} for {asked}: {hint}")

    @property
    def _address(self) -> str:
        """The server's address, without any password in it."""
        return str(self._http.base_url.copy_with(userinfo=b""))

    def _auth(self) -> httpx.BasicAuth | None:
        settings = self._settings
        if (folder := settings.mlflow_credentials_dir) is not None:
            try:
                user, password = ((folder / name).read_text("utf-8").strip() for name in ("username", "password"))
            except OSError as error:
                raise NoAnswerError(f"MLflow credentials: {error.strerror}: {error.filename}") from error
            return httpx.BasicAuth(user, password)
        if settings.mlflow_tracking_username and settings.mlflow_tracking_password:
            return httpx.BasicAuth(
                settings.mlflow_tracking_username, settings.mlflow_tracking_password.get_secret_value()
            )
        return None
