"""Services: how workloads find each other by name."""

from __future__ import annotations

from typing import Literal

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServicePortArgs, ServiceSpecArgs

from infra.kit.meta import named, waited
from infra.kit.options import child
from infra.naming import Workload


def cluster_ip(
    parent: pulumi.Resource,
    name: str,
    workload: Workload,
    *,
    kind: Literal["balanced", "sticky", "headless"] = "balanced",
    role: str = "",
    wait_seconds: int | None = None,
) -> Service:
    """Create a Service inside the cluster with the workload's ports.

    A ``sticky`` one keeps a client on one pod, where pods differ in what they know; a ``headless`` one is for pods that
    are addressed one by one.

    Pulumi holds a Service other than a headless one back while any of its pods is not ready. So the controller of the
    pods must not depend on it, and where `pulumi up` waits for the controller for ``wait_seconds``, it must wait for
    the Service as long.
    """
    headless = kind == "headless"
    return Service(
        f"{name}-{role}-service" if role else f"{name}-service",
        metadata=named(workload, role=role, annotations=None if wait_seconds is None else waited(wait_seconds)),
        spec=ServiceSpecArgs(
            type="ClusterIP",
            cluster_ip="None" if headless else None,
            publish_not_ready_addresses=headless or None,
            session_affinity="ClientIP" if kind == "sticky" else None,
            selector=workload.selector,
            ports=[
                ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                for port, number in workload.ports.items()
            ],
        ),
        opts=child(parent),
    )
