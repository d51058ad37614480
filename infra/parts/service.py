"""Services: how a workload is found by name."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServicePortArgs, ServiceSpecArgs

from infra.kit.meta import Annotations, named
from infra.kit.options import child
from infra.naming import Workload


def cluster_ip(
    parent: pulumi.Resource,
    name: str,
    workload: Workload,
    *,
    headless: bool = False,
    sticky: bool = False,
    role: str = "",
    annotations: Annotations | None = None,
) -> Service:
    """A Service inside the cluster with the workload's ports; headless for pods that are addressed one by one.

    ``sticky`` keeps a client on one pod, where pods differ in what they know.

    Pulumi waits until a Service has a ready endpoint, so the controller must not depend on it.
    """
    return Service(
        f"{name}-{role}-service" if role else f"{name}-service",
        metadata=named(workload, role=role, annotations=annotations),
        spec=ServiceSpecArgs(
            type="ClusterIP",
            cluster_ip="None" if headless else None,
            publish_not_ready_addresses=headless or None,
            session_affinity="ClientIP" if sticky else None,
            selector=workload.selector,
            ports=[
                ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                for port, number in workload.ports.items()
            ],
        ),
        opts=child(parent),
    )
