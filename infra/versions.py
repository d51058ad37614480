"""Every image of the platform: its tag, and the digest that `churn images lock` wrote down for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.config import ConfigError, ImageSettings, Settings
from infra.naming import PROJECT

LOCK_FILE: Final = Path(__file__).with_name("images.lock.json")
"""``{"registry/name:tag": "sha256:..."}``, written online by `churn images lock`, read by every stack."""

PUBLIC: Final = {
    "alertmanager": "quay.io/prometheus/alertmanager:v0.33.1",
    "blackbox": "quay.io/prometheus/blackbox-exporter:v0.27.0",
    "cache": "docker.io/valkey/valkey:8.1.4-alpine",
    "grafana": "docker.io/grafana/grafana:13.1.5",
    "ingress": "docker.io/nginx/nginx-ingress:5.6.2",
    "kube-state-metrics": "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.19.1",
    "node-exporter": "quay.io/prometheus/node-exporter:v1.10.2",
    "postgres": "docker.io/library/postgres:15.18-alpine",
    "postgres-exporter": "quay.io/prometheuscommunity/postgres-exporter:v0.20.1",
    "prometheus": "quay.io/prometheus/prometheus:v3.13.2",
    "pushgateway": "quay.io/prometheus/pushgateway:v1.11.2",
    "thanos": "quay.io/thanos/thanos:v0.42.4",
}
METRICS_SERVER: Final = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"
"""Of a local cluster that brings none; no stack runs it (`ops/stack/metrics_server.py`)."""
DIGESTS_KEY: Final = f"{PROJECT}:images.require_digests"
OWN: Final = ("api", "mlflow", "ops", "training")
"""Images that this project builds; each is a target of its Dockerfile."""


NO_HOST: Final = ".invalid"
"""Ending of hosts that never resolve (RFC 2606): those of images that are loaded by hand and pulled by nobody."""
NOWHERE: Final = (NO_HOST, "localhost")
"""Endings of hosts that no node can pull from; `localhost` is the node itself."""


def registry_host(reference: str) -> str | None:
    """Return the registry that a reference names; None where runtimes would look on Docker Hub.

    The rule is that of container runtimes (distribution/reference, `splitDockerDomain`).
    """
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else None


def check_registry(settings: Settings) -> None:
    """Check that the nodes of a stack on AWS can only pull the project's images from a registry of its owner.

    Raises:
        ConfigError: the registry has no host, so that its first word is somebody's namespace on Docker Hub; or it has
            one that no node can reach.
    """
    host = registry_host(f"{settings.images.registry}/")
    if settings.cluster.kind == "local" or (host and not host.partition(":")[0].endswith(NOWHERE)):
        return
    where = "names nobody's registry" if host else "has no host, so nodes would pull from whoever owns it on Docker Hub"
    raise ConfigError(
        f"{PROJECT}:images.registry is {settings.images.registry!r}, which {where}: set it to yours, such as "
        f"ACCOUNT.dkr.ecr.{settings.account.region}.amazonaws.com/{PROJECT}"
    )


@dataclass(frozen=True, kw_only=True)
class Images:
    """References to all images of one stack."""

    settings: ImageSettings
    digests: Mapping[str, str]

    def tagged(self, name: str) -> str:
        """Return the reference by tag to a public image at its own registry, or to one of our own."""
        if name in OWN:
            return f"{self.settings.registry}/{name}:{self.settings.tag}"
        return PUBLIC[name]

    def _pulled(self, name: str) -> str:
        """Return the reference by tag at the registry that it is pulled from: a public image's whole name stays."""
        mirrored = self.settings.mirror and name not in OWN
        return f"{self.settings.mirror}/{PUBLIC[name]}" if mirrored else self.tagged(name)

    def reference(self, name: str) -> str:
        """Return what a container runs: the tag, with the digest where one is locked; a mirror has the same digests.

        Raises:
            ConfigError: the stack requires digests and the lock file has none for this image.
        """
        tagged = self.tagged(name)
        digest = self.digests.get(tagged)
        if digest is not None:
            return f"{self._pulled(name)}@{digest}"
        if self.settings.require_digests:
            raise ConfigError(digest_required([tagged]))
        return self._pulled(name)

    def without_digest(self, stack: Settings) -> list[str]:
        """List the images that the stack runs and the lock file has no digest for."""
        images = [self.tagged(name) for name in (*PUBLIC, *OWN) if name not in unused(stack)]
        return [tagged for tagged in images if self.digests.get(tagged) is None]


def unused(stack: Settings) -> set[str]:
    """Return the public images that a stack does not run."""
    optional = {
        "cache": stack.cache.enabled,
        "ingress": stack.ingress.kind == "nginx",
        "postgres": stack.database.kind == "in-cluster",
        "thanos": stack.thanos.enabled,
    }
    return {name for name, on in optional.items() if not on}


def digest_required(missing: Sequence[str]) -> str:
    """Say which images lack a digest, and what to do about it."""
    return (
        f"{DIGESTS_KEY} is true, but {LOCK_FILE.name} has no digest for {', '.join(missing)}: "
        "run `churn images lock --own` where the registries can be reached, and commit the file"
    )


def locked_digests() -> dict[str, str]:
    """Read the digests of the lock file."""
    digests: dict[str, str] = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
    return digests
