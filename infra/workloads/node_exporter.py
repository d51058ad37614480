"""node-exporter: CPU, memory, disks and pressure of every node, read from the host's file systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    DaemonSet,
    DaemonSetSpecArgs,
    DaemonSetUpdateStrategyArgs,
    RollingUpdateDaemonSetArgs,
)
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, TolerationArgs

from infra.config import Resources
from infra.kit import pod, probes
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import NODE_EXPORTER
from infra.parts.context import Context
from infra.parts.identity import service_account

HOST: Final = {"proc": "/proc", "sys": "/sys", "root": "/"}
"""Directories of the node, all mounted read-only. The container runs as nobody, so it reads what any user may read."""
OWN_NETWORK: Final = ("arp", "conntrack", "netclass", "netdev", "netstat", "sockstat", "udp_queues")
"""Collectors that would report the pod's own network as if it were the node's. The pod is not in the host's network,
where no network policy applies; so figures of a node's network are missing, while cAdvisor has those of the pods."""
OTHER_MOUNTS: Final = r"^(/local)?/(dev|proc|run|sys|var/lib/containerd/.+|var/lib/docker/.+|var/lib/kubelet/.+)($|/)"
"""Mount points of pods and of the kernel; the kubelet reports volumes. On Bottlerocket, /var is a part of /local, where
its mounts may appear once more."""
SIZE: Final = Resources(cpu_request="20m", cpu_limit="200m", memory_request="32Mi", memory_limit="64Mi")


@dataclass(frozen=True, kw_only=True)
class NodeExporterArgs:
    """What the component needs to know about its stack."""

    context: Context


class NodeExporter(pulumi.ComponentResource):
    """ServiceAccount and DaemonSet in the namespace that may mount host paths."""

    def __init__(self, name: str, args: NodeExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:NodeExporter", name, {}, opts)
        account = service_account(self, name, NODE_EXPORTER, args.context)
        DaemonSet(
            f"{name}-daemonset",
            metadata=named(NODE_EXPORTER),
            spec=DaemonSetSpecArgs(
                selector=selector(NODE_EXPORTER),
                revision_history_limit=3,
                update_strategy=DaemonSetUpdateStrategyArgs(
                    type="RollingUpdate", rolling_update=RollingUpdateDaemonSetArgs(max_unavailable="25%")
                ),
                template=pod.harden(
                    NODE_EXPORTER,
                    PodSpecArgs(
                        containers=[_container(args)],
                        volumes=[pod.host_path_volume(volume, path) for volume, path in HOST.items()],
                        # Every node, whatever keeps other pods away from it.
                        tolerations=[TolerationArgs(operator="Exists")],
                    ),
                ),
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})


def _container(args: NodeExporterArgs) -> ContainerArgs:
    return ContainerArgs(
        name=NODE_EXPORTER.name,
        image=args.context.images.reference("node-exporter"),
        resources=pod.resources(SIZE),
        startup_probe=probes.http("/", period_seconds=2, failures=30),
        readiness_probe=probes.http("/"),
        liveness_probe=probes.http("/"),
        args=[
            f"--web.listen-address=:{NODE_EXPORTER.ports['http']}",
            "--path.procfs=/host/proc",
            "--path.sysfs=/host/sys",
            "--path.rootfs=/host/root",
            f"--collector.filesystem.mount-points-exclude={OTHER_MOUNTS}",
            *(f"--no-collector.{collector}" for collector in OWN_NETWORK),
        ],
        volume_mounts=[pod.mount(volume, f"/host/{volume}", follow_host=volume == "root") for volume in HOST],
    )
