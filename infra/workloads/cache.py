"""Valkey, where the stack wants it: shared rate limits and cached predictions of the API.

Everything in it may be lost at any time, and the API answers without it, so one pod in memory is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import ContainerArgs

from infra import secret_files
from infra.config import CacheSettings, Resources
from infra.kit import pod, probes
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import CACHE
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

LOGIN: Final = "/run/secrets/churn/cache"
OVERHEAD_MIB: Final = 48
"""The process itself, and buffers of clients, which the limit of the data does not count."""


def memory_limit_mib(memory_mib: int) -> int:
    """What the container may use so that ``memory_mib`` of data fit: a quarter more for fragmentation, and overhead."""
    return memory_mib + -(-memory_mib // 4) + OVERHEAD_MIB


def arguments(memory_mib: int) -> list[str]:
    """Options of the server: nothing on disk, the least used out when it is full, and only the users of the file."""
    return [
        *("--port", str(CACHE.ports["redis"])),
        *("--aclfile", f"{LOGIN}/users.acl"),
        *("--maxmemory", f"{memory_mib}mb"),
        *("--maxmemory-policy", "allkeys-lru"),
        *("--save", ""),
        *("--appendonly", "no"),
    ]


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    """How much data it holds."""

    settings: CacheSettings
    context: Context


class Cache(pulumi.ComponentResource):
    """ServiceAccount, Deployment and Service of the cache."""

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Cache", name, {}, opts)
        account = service_account(self, name, CACHE, args.context.cloud.roles)
        login = args.context.secret(self, name, CACHE, secret_files.CACHE_LOGIN)
        Deployment(
            f"{name}-deployment",
            metadata=named(CACHE),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=selector(CACHE),
                revision_history_limit=3,
                # Two side by side would count rates apart.
                strategy=DeploymentStrategyArgs(type="Recreate"),
                template=pod.pod(CACHE, containers=[_container(args)], volumes=[login]),
            ),
            opts=child(self, after=[account]),
        )
        cluster_ip(self, name, CACHE)
        self.register_outputs({})


def _container(args: CacheArgs) -> ContainerArgs:
    data = args.settings.memory_mib
    memory = f"{memory_limit_mib(data)}Mi"
    return pod.container(
        CACHE,
        image=args.context.images.reference("cache"),
        resources=pod.resources(
            # It has one thread for commands; what it holds is all that differs between environments.
            Resources(cpu_request="50m", cpu_limit="500m", memory_request=memory, memory_limit=memory)
        ),
        probes=pod.Probes(
            startup=probes.tcp(port="redis", period_seconds=2, failures=15),
            readiness=probes.tcp(port="redis", period_seconds=5),
            liveness=probes.tcp(port="redis"),
        ),
        # Past the image's entrypoint, a script that wants to write to the working directory.
        command=["valkey-server"],
        args=arguments(data),
        mounts=[pod.mount(secret_files.CACHE_LOGIN.name, LOGIN)],
    )
