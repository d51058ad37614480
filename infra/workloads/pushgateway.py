"""Pushgateway: keeps the last metrics of jobs, which end before Prometheus could scrape them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs

from infra.config import Resources
from infra.kit import pod, probes, rollouts
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import PUSHGATEWAY
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

DATA: Final = "/pushgateway"
SIZE: Final = Resources(cpu_request="10m", cpu_limit="100m", memory_request="32Mi", memory_limit="64Mi")


@dataclass(frozen=True, kw_only=True)
class PushgatewayArgs:
    """What the component needs to know about its stack."""

    context: Context


class Pushgateway(pulumi.ComponentResource):
    """ServiceAccount, Deployment and Service."""

    def __init__(self, name: str, args: PushgatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Pushgateway", name, {}, opts)
        account = service_account(self, name, PUSHGATEWAY, args.context)
        self._deployment(name, args, account)
        cluster_ip(self, name, PUSHGATEWAY)
        self.register_outputs({})

    def _deployment(self, name: str, args: PushgatewayArgs, account: pulumi.Resource) -> None:
        Deployment(
            f"{name}-deployment",
            metadata=named(PUSHGATEWAY),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=selector(PUSHGATEWAY),
                revision_history_limit=3,
                # Of two pods, each would have half of what is pushed; one that is ending is told nothing any more.
                strategy=rollouts.old_first(),
                template=pod.harden(
                    PUSHGATEWAY,
                    PodSpecArgs(
                        containers=[_container(args)],
                        # Outlives a restart but not the pod, which is enough: the cluster says whether a job has run,
                        # and rules take the last value that Prometheus saw (`last_over_time`).
                        volumes=[pod.empty_dir("data", size="64Mi")],
                    ),
                ),
            ),
            opts=child(self, after=[account]),
        )


def _container(args: PushgatewayArgs) -> ContainerArgs:
    return ContainerArgs(
        name=PUSHGATEWAY.name,
        image=args.context.images.reference("pushgateway"),
        resources=pod.resources(SIZE),
        startup_probe=probes.http("/-/ready", period_seconds=2, failures=30),
        readiness_probe=probes.http("/-/ready"),
        liveness_probe=probes.http("/-/healthy"),
        args=[
            f"--web.listen-address=0.0.0.0:{PUSHGATEWAY.ports['http']}",
            f"--persistence.file={DATA}/metrics",
            "--persistence.interval=1m",
        ],
        volume_mounts=[pod.mount("data", DATA, read_only=False)],
    )
