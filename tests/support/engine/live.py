"""A real cluster for the Kubernetes stand-in: objects go through the API server, and each is waited for.

It takes the place of Pulumi's own provider, which is not available where these tests run: creation refuses an existing
object, updates are server-side applies, and an operation ends when the object is ready, by the same rules and
annotations.
"""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from support.engine import readiness
from support.engine.cluster import Manifest
from support.engine.provider import ProviderError, UnreadyError

MANAGER = "pulumi-kubernetes"
POLL_SECONDS = 0.3
DELETE_SECONDS = 300
TIMEOUT = "pulumi.com/timeoutSeconds"
SKIP_AWAIT = "pulumi.com/skipAwait"


@dataclass(frozen=True)
class Waited:
    """How long an operation on an object took until it was ready, or gone."""

    operation: str
    kind: str
    name: str
    seconds: float


@dataclass
class LiveCluster:
    """The cluster of a kubeconfig's current context, which must have a client certificate."""

    kubeconfig: Path
    scratch: Path
    """A folder for the certificate, since Python's TLS reads it only from a file."""
    waits: list[Waited] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = yaml.safe_load(self.kubeconfig.read_text())
        chosen = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], chosen["cluster"])["cluster"]
        user = _named(config["users"], chosen["user"])["user"]
        context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        pem = self.scratch / "client.pem"
        pem.touch(mode=0o600)
        pem.write_text(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
        context.load_cert_chain(pem)
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.Client(
            base_url=cluster["server"], verify=context, timeout=60, trust_env=False, limits=limits
        )
        self._resources: dict[tuple[str, str], Manifest] = {}
        self._lock = threading.Lock()

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object and wait until it is ready.

        Raises:
            ProviderError: it already exists, the API server refuses it, or it is not ready in time.
        """
        if self.read(manifest) is not None:
            metadata = manifest["metadata"]
            where = f' in namespace "{metadata["namespace"]}"' if "namespace" in metadata else ""
            raise ProviderError(f'{manifest["kind"]} "{metadata["name"]}" already exists{where}')
        return self._apply("create", manifest, None)

    def update(self, manifest: Manifest) -> Manifest:
        """Apply the declared fields and wait until they are in effect.

        Raises:
            ProviderError: the API server refuses it, or it is not ready in time.
        """
        return self._apply("update", manifest, self.read(manifest))

    def delete(self, manifest: Manifest) -> None:
        """Delete an object with everything that it owns, and wait until it is gone."""
        started = time.monotonic()
        answer = self._http.request(
            "DELETE",
            self._path(manifest),
            json={"propagationPolicy": "Foreground", "apiVersion": "v1", "kind": "DeleteOptions"},
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return
        _require(answer)
        self._until(lambda: None if self.read(manifest) is None else "it is still there", manifest, DELETE_SECONDS)
        self._note("delete", manifest, started)

    def read(self, manifest: Manifest) -> Manifest | None:
        """The object as the cluster stores it, or None."""
        answer = self._http.get(self._path(manifest))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        live = dict(_require(answer))
        live["metadata"].pop("managedFields", None)
        return live

    def get(self, path: str, **parameters: str) -> Any:
        """The API server's answer at a path."""
        return _require(self._http.get(path, params=parameters))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _apply(self, operation: str, manifest: Manifest, before: Manifest | None) -> Manifest:
        started = time.monotonic()
        answer = self._http.patch(
            self._path(manifest),
            params={"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            json=manifest,
        )
        _require(answer)
        annotations = manifest["metadata"].get("annotations", {})
        if annotations.get(SKIP_AWAIT) != "true":
            seconds = float(annotations.get(TIMEOUT, readiness.SECONDS))
            missing = readiness.awaiter(before, self.get)
            try:
                self._until(lambda: missing(self._read_again(manifest)), manifest, seconds)
            except ProviderError as error:
                raise UnreadyError(str(error), self._read_again(manifest)) from None
        self._note(operation, manifest, started)
        return self._read_again(manifest)

    def _read_again(self, manifest: Manifest) -> Manifest:
        live = self.read(manifest)
        if live is None:
            raise ProviderError(f"{_title(manifest)} is gone: somebody else deleted it")
        return live

    def _until(self, missing: Callable[[], str | None], manifest: Manifest, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (why := missing()) is not None:
            if time.monotonic() > deadline:
                details = readiness.troubles(manifest, self.get)
                raise ProviderError(f"{_title(manifest)} is not ready after {seconds:g} s: {why}{details}")
            time.sleep(POLL_SECONDS)

    def _note(self, operation: str, manifest: Manifest, started: float) -> None:
        waited = Waited(operation, manifest["kind"], manifest["metadata"]["name"], time.monotonic() - started)
        with self._lock:
            self.waits.append(waited)

    def _path(self, manifest: Manifest) -> str:
        """The path of an object at the API server, which knows the plural of its kind."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._resources:
            for resource in self.get(root)["resources"]:
                if "/" not in resource["name"]:
                    self._resources[version, resource["kind"]] = resource
        resource = self._resources[version, kind]
        metadata = manifest["metadata"]
        place = f"/namespaces/{metadata.get('namespace', 'default')}" if resource["namespaced"] else ""
        return f"{root}{place}/{resource['name']}/{metadata['name']}"


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata'].get('namespace', '')}/{manifest['metadata']['name']}"


def _require(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        message = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.text
    raise ProviderError(message)
