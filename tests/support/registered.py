"""Bundles in a real MLflow, where tests register them, move aliases to them, and damage their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from mlflow import MlflowClient

from app.bundle import ARTIFACT_FOLDER, MANIFEST, MANIFEST_TAG, STAGE_TAG, STAGES, sha256
from ops.plain_http import NO_TLS


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version and the address of its bundle behind MLflow's artifact proxy."""

    number: str
    bundle_url: str

    def read(self, name: str) -> bytes:
        """Fetch a file of the registered bundle."""
        return httpx.get(f"{self.bundle_url}/{name}", trust_env=False, verify=NO_TLS).raise_for_status().content

    def write(self, name: str, data: bytes) -> None:
        """Replace a file of the registered bundle."""
        httpx.put(f"{self.bundle_url}/{name}", content=data, trust_env=False, verify=NO_TLS).raise_for_status()

    def delete(self, name: str) -> None:
        """Delete a file of the registered bundle."""
        httpx.delete(f"{self.bundle_url}/{name}", trust_env=False, verify=NO_TLS).raise_for_status()


class Registered:
    """One registered model of an MLflow server."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.url = url
        self._client = MlflowClient(url, registry_uri=url)
        self._client.create_registered_model(name)
        self._experiment = self._client.create_experiment(name)

    def publish(self, bundle: Path, *, tags: dict[str, str] | None = None) -> Version:
        """Register a bundle as training does: as a logged model's artifacts, with the manifest's digest as a tag."""
        client = self._client
        logged = client.create_logged_model(self._experiment, name=self.name)
        with TemporaryDirectory() as folder:
            copytree(bundle, Path(folder) / ARTIFACT_FOLDER)
            client.log_model_artifacts(logged.model_id, folder)
        digest = {MANIFEST_TAG: sha256((bundle / MANIFEST).read_bytes())}
        version = client.create_model_version(
            self.name,
            source=f"models:/{logged.model_id}",
            model_id=logged.model_id,
            tags=digest if tags is None else tags,
        )
        uri = client.get_model_version_download_uri(self.name, version.version)
        path = httpx.URL(uri).path.strip("/")
        return Version(
            number=str(version.version),
            bundle_url=f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{path}/{ARTIFACT_FOLDER}",
        )

    def point(self, version: Version, alias: str = "production") -> None:
        """Move an alias as `churn` does, setting the version's stage tag first."""
        if alias in STAGES:
            self.tag(version, STAGE_TAG, STAGES[alias])
        self._client.set_registered_model_alias(self.name, alias, version.number)

    def tag(self, version: Version, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._client.set_model_version_tag(self.name, version.number, key, value)

    def move_by_hand(self, version: Version) -> None:
        """Move the alias `production` as MLflow's web page does, through the server's API alone."""
        body = {"name": self.name, "alias": "production", "version": version.number}
        url = f"{self.url}/api/2.0/mlflow/registered-models/alias"
        httpx.post(url, json=body, trust_env=False, verify=NO_TLS).raise_for_status()

    def settings(self) -> dict[str, Any]:
        """Settings of an API that follows this model."""
        return follow(self.url, self.name)


def follow(url: str, name: str) -> dict[str, Any]:
    """Settings of an API that follows a registered model and polls often."""
    return {"model_source": "mlflow", "models": name, "mlflow_tracking_uri": url, "model_poll_seconds": 0.2}


def rewritten(bundle: Path, target: Path, **changes: Any) -> Path:
    """Copy a bundle and change fields of its manifest, which still fits the files."""
    copytree(bundle, target)
    manifest = json.loads((target / MANIFEST).read_text())
    (target / MANIFEST).write_text(json.dumps(manifest | changes))
    return target
