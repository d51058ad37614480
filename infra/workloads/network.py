"""Network policies of all namespaces: default-deny, DNS, and one policy for each workload, from the list of edges."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra.edges import Edge
from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import NAMESPACES, Workload
from infra.workloads import network_policies as policies
from infra.workloads.namespaces import EXEMPT


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """The workloads, the allowed connections, networks with DNS outside the cluster, and whether there is a mesh."""

    workloads: tuple[Workload, ...]
    edges: tuple[Edge, ...]
    dns_cidrs: tuple[str, ...]
    mesh: bool


class Network(pulumi.ComponentResource):
    """The policies; they are created before the workloads, so that no pod ever runs without one."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Network", name, {}, opts)
        for namespace in NAMESPACES:
            shared = {"deny-all": policies.deny_all(), "dns": policies.dns(args.dns_cidrs)}
            if args.mesh and namespace not in EXEMPT:
                shared["mesh"] = policies.mesh()
            for role, spec in shared.items():
                NetworkPolicy(
                    f"{name}-{namespace}-{role}",
                    metadata=ObjectMetaArgs(name=role, namespace=namespace),
                    spec=spec,
                    opts=child(self),
                )
        for workload in args.workloads:
            NetworkPolicy(
                f"{name}-{workload.name}",
                metadata=named(workload),
                spec=policies.spec(workload, args.edges),
                opts=child(self),
            )
        self.register_outputs({})
