"""The contexts of the kubeconfig, and which of them are clusters on this machine.

All stacks name their objects alike, and Pulumi deletes by name: a local stack that followed kubectl's context could
delete another environment. So each stack is bound to one named context, and only a cluster that a local tool made is
taken without being named.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from infra.config import ConfigError
from infra.naming import PROJECT

LOCAL_TOOLS: Final = ("kind-", "k3d-", "minikube", "docker-desktop", "orbstack", "rancher-desktop", "colima")
"""Beginnings of the names that tools give to the contexts of clusters on this machine."""
LOCAL_HOSTS: Final = ("localhost", ".docker.internal", ".orb.local")
"""Endings of the hosts that such tools use for their API servers, besides private addresses."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """A context: its name, the file that has it, and the address of its API server (empty if the file has none)."""

    name: str
    path: Path
    server: str

    @property
    def is_local(self) -> bool:
        """Whether both name and address are those of a cluster on this machine.

        The address alone proves nothing: a tunnel to a distant cluster ends on this machine too.
        """
        return self.name.startswith(LOCAL_TOOLS) and _is_near(urlsplit(self.server).hostname or "")


def _is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host.endswith(LOCAL_HOSTS)


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """What kubectl reads: all files of ``KUBECONFIG``, where the first to say something wins."""

    places: tuple[Path, ...]
    current: str
    contexts: Mapping[str, Context]

    @classmethod
    def read(cls) -> Kubeconfig:
        """Read the files; those that do not exist are left out, as kubectl does.

        Raises:
            ConfigError: a file is no kubeconfig.
        """
        named = [Path(item) for item in os.environ.get("KUBECONFIG", "").split(os.pathsep) if item]
        places = tuple(named or [Path.home() / ".kube" / "config"])
        current, contexts, servers = "", dict[str, tuple[str, Path]](), dict[str, str]()
        for path in places:
            if not path.is_file():
                continue
            content = _content(path)
            current = current or str(content.get("current-context") or "")
            for item in content.get("contexts") or []:
                contexts.setdefault(item["name"], (item["context"]["cluster"], path))
            for item in content.get("clusters") or []:
                servers.setdefault(item["name"], str(item["cluster"].get("server", "")))
        return cls(
            places=places,
            current=current,
            contexts={
                name: Context(name=name, path=path, server=servers.get(cluster, ""))
                for name, (cluster, path) in contexts.items()
            },
        )


def _content(path: Path) -> dict[str, Any]:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for item in content.get("contexts") or []:
            _ = item["name"], item["context"]["cluster"]
        for item in content.get("clusters") or []:
            _ = item["name"], item["cluster"].get("server")
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no kubeconfig: it needs contexts and clusters ({error!r})") from None
    return dict(content)


def require_context(named: str) -> Context:
    """Return the context that a stack uses: the named one, or the current one if it is that of a local cluster.

    Raises:
        ConfigError: there is no kubeconfig, it has no such context, or the current context must be named.
    """
    config = Kubeconfig.read()
    places = ", ".join(map(str, config.places))
    if not any(path.is_file() for path in config.places):
        raise ConfigError(
            f"there is no kubeconfig at {places}: start a cluster (kind create cluster) or set KUBECONFIG"
        )
    key = f"{PROJECT}:cluster.context"
    name = named or config.current
    if name not in config.contexts:
        raise ConfigError(
            f"{places} has no context {name!r}: set {key} to one of {sorted(config.contexts)}"
            if name
            else f"{places} has no current context: set {key} to one of {sorted(config.contexts)}"
        )
    context = config.contexts[name]
    if not named and not context.is_local:
        raise ConfigError(
            f"the current context {context.name!r} ({context.server or 'without a server'}) is not known to be a "
            f"cluster on this machine: if you mean it, run `pulumi config set --path {key} {context.name}`"
        )
    return context
