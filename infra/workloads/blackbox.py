"""Blackbox exporter: sends a request to the edge as a client does, and reports when the certificate expires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, PodSpecArgs

from infra.config import Resources
from infra.kit import pod, probes
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child
from infra.naming import BLACKBOX
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

CONFIG: Final = "/etc/blackbox"
SIZE: Final = Resources(cpu_request="10m", cpu_limit="100m", memory_request="32Mi", memory_limit="64Mi")


@dataclass(frozen=True, kw_only=True)
class BlackboxArgs:
    """What the component needs to know about its stack."""

    context: Context


class Blackbox(pulumi.ComponentResource):
    """ServiceAccount, ConfigMap, Deployment and Service."""

    def __init__(self, name: str, args: BlackboxArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Blackbox", name, {}, opts)
        account = service_account(self, name, BLACKBOX, args.context)
        config = ConfigMap(
            f"{name}-config",
            metadata=unnamed(BLACKBOX),
            data={"blackbox.yml": yaml.safe_dump(modules(args.context.domain))},
            opts=child(self),
        )
        Deployment(
            f"{name}-deployment",
            metadata=named(BLACKBOX),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=selector(BLACKBOX),
                revision_history_limit=3,
                template=pod.harden(
                    BLACKBOX,
                    PodSpecArgs(
                        containers=[_container(args)],
                        volumes=[pod.config_volume("config", config.metadata.name)],
                    ),
                ),
            ),
            opts=child(self, after=[account]),
        )
        cluster_ip(self, name, BLACKBOX)
        self.register_outputs({})


def modules(domain: str) -> dict[str, Any]:
    """Return the module that gets the API's documentation through the edge, under the name that clients use.

    The certificate is not checked against authorities, since a stack may sign its own; this probe is about how long it
    stays valid.
    """
    http = {
        "method": "GET",
        "headers": {"Host": f"api.{domain}"},
        "valid_status_codes": [200],
        "fail_if_not_ssl": True,
        "follow_redirects": False,
        "preferred_ip_protocol": "ip4",
        "tls_config": {"insecure_skip_verify": True, "server_name": f"api.{domain}"},
    }
    return {"modules": {"edge": {"prober": "http", "timeout": "5s", "http": http}}}


def _container(args: BlackboxArgs) -> ContainerArgs:
    return ContainerArgs(
        name=BLACKBOX.name,
        image=args.context.images.reference("blackbox"),
        resources=pod.resources(SIZE),
        startup_probe=probes.http("/-/healthy", period_seconds=2, failures=30),
        readiness_probe=probes.http("/-/healthy"),
        liveness_probe=probes.http("/-/healthy"),
        args=[
            f"--config.file={CONFIG}/blackbox.yml",
            f"--web.listen-address=:{BLACKBOX.ports['http']}",
        ],
        volume_mounts=[pod.mount("config", CONFIG)],
    )
