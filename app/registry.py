"""The MLflow registry as the API sees it: which version an alias names, and that version's servable bundle.

Three documented REST calls and no MLflow import: the client library would triple the memory and the start time of this
process. Artifacts come through the tracking server (``mlflow server --serve-artifacts``), so the API needs no
credentials of the artifact store.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import httpx

from app import bundle
from app.bundle import BundleError, Registered, RegistryError
from app.settings import Settings

_API: Final = "/api/2.0/mlflow"
_PROXIED: Final = "mlflow-artifacts:"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Registry:
    """A small client; every call is bounded in time and size."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient(
            base_url=settings.mlflow_tracking_uri.rstrip("/"),
            timeout=settings.registry_timeout_seconds,
            follow_redirects=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def resolve(self) -> Registered:
        """The version that the followed alias names now.

        Raises:
            RegistryError: no answer, no such model or alias, or artifacts that the server does not hand out.
        """
        name, alias = self._settings.model_name, self._settings.model_alias
        found = await self._json(f"{_API}/registered-models/alias", {"name": name, "alias": alias})
        try:
            entry = found["model_version"]
            version = str(entry["version"])
            tags = {tag["key"]: tag["value"] for tag in entry.get("tags", [])}
        except (KeyError, TypeError) as error:
            raise RegistryError(f"the answer for {name}@{alias} has no {error}") from error
        if not version.isdigit():
            raise RegistryError(f"the version of {name}@{alias} is {version[:32]!r}, not a number")
        where = await self._json(f"{_API}/model-versions/get-download-uri", {"name": name, "version": version})
        uri = str(where.get("artifact_uri", ""))
        if not uri.startswith(_PROXIED):
            raise RegistryError(
                f"the artifacts of version {version} are at {uri.partition(':')[0]}:, out of reach for the API; "
                "run the tracking server with --serve-artifacts --artifacts-destination"
            )
        path = httpx.URL(uri).path.strip("/")
        return Registered(version=version, manifest_sha256=tags.get(bundle.MANIFEST_TAG, ""), artifact_path=path)

    async def download(self, registered: Registered, folder: Path) -> None:
        """Fetch a version's bundle into an empty folder, checking each digest on the way.

        Raises:
            RegistryError: the server stopped answering.
            BundleError: what arrived is not what was registered, or no digest was registered.
        """
        if not _SHA256.fullmatch(registered.manifest_sha256):
            raise BundleError(f"it has no sha256 in the tag {bundle.MANIFEST_TAG}: register it with `churn train`")
        data = await self._artifact(registered, bundle.MANIFEST, bundle.MAX_MANIFEST_BYTES)
        manifest = bundle.parse_manifest(data, registered.manifest_sha256)
        (folder / bundle.MANIFEST).write_bytes(data)
        for name, expected in manifest.files.items():
            data = await self._artifact(registered, name, expected.bytes)
            bundle.check_file(name, data, expected)
            (folder / name).write_bytes(data)

    async def _artifact(self, registered: Registered, name: str, max_bytes: int) -> bytes:
        path = f"{registered.artifact_path}/{bundle.ARTIFACT_FOLDER}/{name}"
        url = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        data = bytearray()
        try:
            async with self._http.stream("GET", url, auth=self._auth()) as response:
                if response.status_code == httpx.codes.NOT_FOUND:
                    raise BundleError(f"{name}: missing among the artifacts of version {registered.version}")
                self._check(response, f"artifact {name}")
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > max_bytes:
                        raise BundleError(f"{name}: larger than the {max_bytes} bytes it may have")
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        return bytes(data)

    async def _json(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        try:
            response = await self._http.get(path, params=params, auth=self._auth())
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        self._check(response, f"{params}")
        try:
            answer = response.json()
        except ValueError as error:
            raise RegistryError(f"{self._http.base_url}: the answer is no JSON; is this an MLflow server?") from error
        if not isinstance(answer, dict):
            raise RegistryError(f"{self._http.base_url}: the answer is no object; is this an MLflow server?")
        return answer

    def _check(self, response: httpx.Response, asked: str) -> None:
        if response.status_code == httpx.codes.OK:
            return
        hint = {
            401: "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            403: "check the user's permissions, and --allowed-hosts of the MLflow server",
            404: "no such model, alias or version",
        }.get(response.status_code, "see the MLflow server's log")
        raise RegistryError(f"MLflow answered {response.status_code} for {asked}: {hint}")

    def _unreachable(self, error: httpx.HTTPError) -> RegistryError:
        return RegistryError(f"no answer from MLflow at {self._http.base_url}: {type(error).__name__}")

    def _auth(self) -> httpx.BasicAuth | None:
        settings = self._settings
        if (folder := settings.mlflow_credentials_dir) is not None:
            try:
                user, password = ((folder / name).read_text("utf-8").strip() for name in ("username", "password"))
            except OSError as error:
                raise RegistryError(f"MLflow credentials: {error.strerror}: {error.filename}") from error
            return httpx.BasicAuth(user, password)
        if settings.mlflow_tracking_username and settings.mlflow_tracking_password:
            return httpx.BasicAuth(
                settings.mlflow_tracking_username, settings.mlflow_tracking_password.get_secret_value()
            )
        return None
