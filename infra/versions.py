"""Every image of the platform, by tag, and the digests that `churn images lock` found for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.config import ConfigError, ImageSettings, Settings

LOCK_FILE: Final = Path(__file__).with_name("images.lock.json")
"""``{"registry/name:tag": "sha256:..."}``, written online by `churn images lock`, read by every stack."""

PUBLIC: Final = {
    "alertmanager": "quay.io/prometheus/alertmanager:v0.33.1",
    "blackbox": "quay.io/prometheus/blackbox-exporter:v0.27.0",
    "cache": "docker.io/valkey/valkey:8.1.4-alpine",
    "grafana": "docker.io/grafana/grafana:13.1.3",
    "ingress": "docker.io/nginx/nginx-ingress:5.6.2",
    "kube-state-metrics": "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.19.1",
    "node-exporter": "quay.io/prometheus/node-exporter:v1.10.2",
    "postgres": "docker.io/library/postgres:15.18-alpine",
    "postgres-exporter": "quay.io/prometheuscommunity/postgres-exporter:v0.20.1",
    "prometheus": "quay.io/prometheus/prometheus:v3.13.2",
    "pushgateway": "quay.io/prometheus/pushgateway:v1.11.2",
    "thanos": "quay.io/thanos/thanos:v0.42.4",
}
DEMAND: Final = "churn:images.require_digests"
OWN: Final = ("api", "mlflow", "ops", "training")
"""Images this project builds, each a target of its Dockerfile."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """References of all images of one stack."""

    settings: ImageSettings
    digests: Mapping[str, str]

    def tagged(self, name: str) -> str:
        """Reference by tag of a public image or one of ours."""
        if name in OWN:
            return f"{self.settings.registry}/{name}:{self.settings.tag}"
        return PUBLIC[name]

    def reference(self, name: str) -> str:
        """What a container runs: the tag, and the digest where one is locked.

        Raises:
            ConfigError: the stack demands digests and the lock file has none for this image.
        """
        tagged = self.tagged(name)
        digest = self.digests.get(tagged)
        if digest is not None:
            return f"{tagged}@{digest}"
        if self.settings.require_digests:
            raise ConfigError(demanded([tagged]))
        return tagged

    def without_digest(self, stack: Settings) -> list[str]:
        """References of images that the stack runs and the lock file has no digest for."""
        wanted = [self.tagged(name) for name in (*PUBLIC, *OWN) if name not in unused(stack)]
        return [tagged for tagged in wanted if self.digests.get(tagged) is None]


def unused(stack: Settings) -> set[str]:
    """Public images that a stack has no use for."""
    optional = {
        "cache": stack.cache.enabled,
        "ingress": stack.ingress.kind == "nginx",
        "postgres": stack.database.kind == "in-cluster",
        "thanos": stack.thanos.enabled,
    }
    return {name for name, on in optional.items() if not on}


def demanded(missing: Sequence[str]) -> str:
    """What is wrong, and the remedy."""
    return (
        f"{DEMAND} is true, but {LOCK_FILE.name} has no digest for {', '.join(missing)}: "
        "run `churn images lock --own` where the registries can be reached, and commit the file"
    )


def locked_digests() -> dict[str, str]:
    """Digests of the lock file."""
    digests: dict[str, str] = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
    return digests
