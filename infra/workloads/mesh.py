"""Istio, where the stack has it: only mutual TLS between pods, but for the ports that others must reach.

Prometheus and NGINX connect to pods by address, which a sidecar passes on as it is, and clients at the edge have no
certificate of the mesh. Their ports accept both; who may connect to them is the network policies' matter as ever.
Probes need nothing: the sidecar injector rewrites them.
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
"""Whoever connects to pods by address: its sidecar knows no service there, and passes the connection on as it is."""


@dataclass(frozen=True, kw_only=True)
class MeshArgs:
    """What there is, and what may connect."""

    workloads: tuple[Workload, ...]
    edges: tuple[Edge, ...]


class Mesh(pulumi.ComponentResource):
    """A strict policy for each namespace of the mesh, and one for each workload with a port that others reach."""

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
    """Ports of a workload that are reached without the mesh: by clients at the edge, NGINX and Prometheus."""
    return sorted(
        {
            edge.port
            for edge in edges
            if edge.target == workload and (isinstance(edge.source, Outside) or edge.source in BY_ADDRESS)
        }
    )
