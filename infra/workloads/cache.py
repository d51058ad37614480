"""Valkey, where the stack enables it: the API's shared rate limits and cached predictions.

Everything in it may be lost at any time, and the API answers without it, so one pod without a volume is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs

from infra import secret_files
from infra.config import CacheSettings, Resources
from infra.kit import pod, probes, rollouts
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import CACHE
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

LOGIN: Final = secret_files.CACHE_LOGIN.at("cache")
OVERHEAD_MIB: Final = 48
"""For the process itself and the buffers of clients, which Valkey's own limit does not include."""


def memory_limit_mib(memory_mib: int) -> int:
    """Return the limit under which ``memory_mib`` of data fit: a quarter more for fragmentation, and the overhead."""
    return memory_mib + -(-memory_mib // 4) + OVERHEAD_MIB


def arguments(memory_mib: int) -> list[str]:
    """Return the server's options: nothing on disk, the least recently used key evicted first, users from a file."""
    return [
        *("--port", str(CACHE.ports["redis"])),
        *("--aclfile", LOGIN.file("users.acl")),
        *("--maxmemory", f"{memory_mib}mb"),
        *("--maxmemory-policy", "allkeys-lru"),
        *("--save", ""),
        *("--appendonly", "no"),
    ]


def login_check(url: str, port: int = CACHE.ports["redis"]) -> list[str]:
    """Return a command that logs in here as the API does, by the file ``url``; it fails with the reason.

    The secret has the password twice: hashed for the server, which reads nothing else, and in clear in the API's
    address. Whoever changes one of the two finds this pod not ready and the sentence in its events. The shell puts the
    address together, so that no manifest and no log has it; only this container can see its processes.
    """
    ask = f'valkey-cli --no-auth-warning -u "${{url%@*}}@127.0.0.1:{port}/0" PING 2>&1'
    differ = "the secret cache-login contradicts itself: users.acl refuses the login in redis_url"
    refused = (
        f'case "$answer" in *WRONGPASS*|*NOAUTH*) echo "{differ}";; *) echo "the server does not answer PING";; esac'
    )
    script = f'url=$(cat {url}); answer=$({ask}); [ "$answer" = PONG ] || {{ {refused}; exit 1; }}'
    return ["sh", "-c", script]


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    """Size of the data."""

    settings: CacheSettings
    context: Context


class Cache(pulumi.ComponentResource):
    """ServiceAccount, Deployment and Service of the cache."""

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Cache", name, {}, opts)
        account = service_account(self, name, CACHE, args.context)
        login = args.context.secret(self, name, CACHE, LOGIN)
        Deployment(
            f"{name}-deployment",
            metadata=named(CACHE),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=selector(CACHE),
                revision_history_limit=3,
                # Two pods side by side would count rates separately; one that is ending gets no new connections.
                strategy=rollouts.old_first(),
                template=pod.harden(CACHE, PodSpecArgs(containers=[_container(args, login)], volumes=[login.volume])),
            ),
            opts=child(self, after=[account]),
        )
        cluster_ip(self, name, CACHE)
        self.register_outputs({})


def _container(args: CacheArgs, login: MountedSecret) -> ContainerArgs:
    data = args.settings.memory_mib
    memory = f"{memory_limit_mib(data)}Mi"
    return ContainerArgs(
        name=CACHE.name,
        image=args.context.images.reference("cache"),
        resources=pod.resources(
            # Valkey runs commands on one thread, so only the size of the data differs between environments.
            Resources(cpu_request="50m", cpu_limit="500m", memory_request=memory, memory_limit=memory)
        ),
        startup_probe=probes.tcp(port="redis", period_seconds=2, failures=15),
        readiness_probe=probes.run(*login_check(LOGIN.file("redis_url"))),
        liveness_probe=probes.tcp(port="redis"),
        # Bypasses the image's entrypoint, a script that needs to write to the working directory.
        command=["valkey-server"],
        args=arguments(data),
        volume_mounts=[login.mount],
    )
