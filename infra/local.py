"""The cloud of a local cluster, which has none: the stack itself generates the value of every secret."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

from infra import secret_files as s
from infra.cloud import CloudOutputs, Database
from infra.config import ConfigError, Settings
from infra.credentials import Maker, key_file
from infra.naming import POSTGRES, PROJECT

FIRST_KEY = "local"
"""Id of the API key that a local stack generates for its owner."""


def require_kubeconfig(context: str) -> Path:
    """Return the kubeconfig that kubectl would use.

    Raises:
        ConfigError: there is no such file, or it has no such context.
    """
    candidates = [Path(item) for item in os.environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    candidates = candidates or [Path.home() / ".kube" / "config"]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        places = ", ".join(map(str, candidates))
        raise ConfigError(
            f"there is no kubeconfig at {places}: start a cluster (kind create cluster) or set KUBECONFIG"
        )
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        names = [item["name"] for item in content["contexts"]]
        current = context or content["current-context"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no kubeconfig: it needs contexts and current-context ({error!r})") from None
    if current not in names:
        raise ConfigError(f"{path} has no context {current!r}: set {PROJECT}:cluster.context to one of {sorted(names)}")
    return path


@dataclass(frozen=True, kw_only=True)
class LocalCloudArgs:
    """The stack's settings."""

    settings: Settings


class LocalCloud(pulumi.ComponentResource):
    """Random values for every secret, stored encrypted in the stack's state."""

    outputs: CloudOutputs

    def __init__(self, name: str, args: LocalCloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:local:LocalCloud", name, {}, opts)
        maker = Maker(parent=self, name=name, state=args.settings.state)
        database = Database(host=POSTGRES.host, port=POSTGRES.ports["postgres"])
        key = maker.api_key(FIRST_KEY, "api-key")
        values = {
            s.API_KEYS.name: {"keys.json": key.apply(lambda known: key_file([known]))},
            s.POSTGRES_SUPERUSER.name: {
                "username": pulumi.Output.from_input("postgres"),
                "password": maker.random("postgres"),
            },
            **maker.shared(database),
        }
        sources = {secret: s.KubernetesSource(values=files) for secret, files in values.items()}
        self.outputs = CloudOutputs(secrets=sources, database=database, first_api_key=pulumi.Output.secret(key))
        self.register_outputs({})
