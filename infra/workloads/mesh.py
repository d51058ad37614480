"""Istio, where the stack has it: pods accept only mutual TLS, except on ports that are reached from outside the mesh.

Prometheus and NGINX connect to pods by address, and a sidecar forwards such connections unencrypted; clients at the
edge have no certificate of the mesh. The ports they use accept both; network policies still decide who may connect.
Probes need no exception, since the sidecar injector rewrites them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.edges import Edge, Outside
from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import INGRESS, NAMESPACES, PROMETHEUS, Workload
from infra.workloads.namespaces import EXEMPT

API_VERSION = "security.istio.io/v1"
STRICT = {"mode": "STRICT"}
BY_ADDRESS = (INGRESS, PROMETHEUS)
"""Workloads that connect to pods by address: their sidecar knows no service there and forwards the connection as it
is."""


@dataclass(frozen=True, kw_only=True)
class MeshArgs:
    """The workloads, and the allowed connections."""

    workloads: tuple[Workload, ...]
    edges: tuple[Edge, ...]


class Mesh(pulumi.ComponentResource):
    """A strict policy for each namespace of the mesh, and one for each workload with a port reached from outside it."""

    def __init__(self, name: str, args: MeshArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Mesh", name, {}, opts)
        for namespace in NAMESPACES:
            if namespace not in EXEMPT:
                CustomResource(
                    f"{name}-{namespace}",
                    api_version=API_VERSION,
                    kind="PeerAuthentication",
                    metadata=ObjectMetaArgs(name="default", namespace=namespace),
                    spec={"mtls": STRICT},
                    opts=child(self),
                )
        for workload in args.workloads:
            ports = outside_ports(workload, args.edges)
            if ports and workload.namespace not in EXEMPT:
                CustomResource(
                    f"{name}-{workload.name}",
                    api_version=API_VERSION,
                    kind="PeerAuthentication",
                    metadata=named(workload),
                    spec={
                        "selector": {"matchLabels": workload.selector},
                        "mtls": STRICT,
                        "portLevelMtls": {str(port): {"mode": "PERMISSIVE"} for port in ports},
                    },
                    opts=child(self),
                )
        self.register_outputs({})


def outside_ports(workload: Workload, edges: Sequence[Edge]) -> list[int]:
    """Return the ports of a workload that clients at the edge, NGINX or Prometheus reach without the mesh."""
    return sorted(
        {
            edge.port
            for edge in edges
            if edge.target == workload and (isinstance(edge.source, Outside) or edge.source in BY_ADDRESS)
        }
    )
