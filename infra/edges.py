"""Who may connect to whom: the list that all network policies are made from.

Everything else is refused in both directions, except for DNS, which every pod may use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from infra import naming as n
from infra.cloud import CloudOutputs
from infra.config import Settings
from infra.naming import Workload


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A peer that is not a pod: networks, with some parts excluded."""

    name: str
    cidrs: tuple[str, ...]
    without: tuple[str, ...] = ()


Peer = Workload | Outside

PRIVATE: Final = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
INTERNET: Final = Outside(name="internet", cidrs=("0.0.0.0/0",), without=PRIVATE)
"""Public addresses only: no pods, no nodes, no metadata service."""
CLIENTS: Final = Outside(name="clients", cidrs=("0.0.0.0/0",))
"""Everybody whom the load balancer admits; they may have private addresses too."""
HTTPS: Final = 443
KUBERNETES_PORTS: Final = (HTTPS, 6443)
"""Ports of an API server behind the Service `kubernetes`.

Most plugins apply policies after the Service's address has been translated; that of EKS applies them before, so both
addresses must be open there (aws/amazon-network-policy-controller-k8s, pkg/resolvers/endpoints.go).
"""
MINIKUBE_PORT: Final = 8443
"""Port of minikube's API server (kubernetes/minikube, `APIServerPort` in pkg/minikube/constants)."""
SMTP: Final = 587
POD_IDENTITY: Final = Outside(name="pod-identity", cidrs=("169.254.170.23/32",))
"""The agent of EKS Pod Identity on each node, from which a pod gets the credentials of its role."""
POD_IDENTITY_PORT: Final = 80
"""Its port (EKS user guide, pod identities, considerations)."""
KUBELET: Final = 10250


@dataclass(frozen=True, kw_only=True)
class Edge:
    """An allowed connection from a source to one port of a target."""

    source: Peer
    target: Peer
    port: int
    protocol: Literal["TCP", "UDP"] = "TCP"


def _to(target: Workload, port: str, *sources: Peer) -> list[Edge]:
    return [Edge(source=source, target=target, port=target.ports[port]) for source in sources]


def _out(source: Workload, target: Outside, *ports: int) -> list[Edge]:
    return [Edge(source=source, target=target, port=port) for port in ports]


def _out_all(sources: Sequence[Workload], target: Outside, *ports: int) -> list[Edge]:
    return [edge for source in sources for edge in _out(source, target, *ports)]


def workloads(settings: Settings) -> tuple[Workload, ...]:
    """Return every workload of the stack; each of them gets a policy."""
    optional = [
        (n.INGRESS, settings.ingress.kind == "nginx"),
        (n.BLACKBOX, settings.ingress.kind == "nginx"),
        (n.CACHE, settings.cache.enabled),
        (n.POSTGRES, settings.database.kind == "in-cluster"),
        (n.POSTGRES_SETUP, settings.database.kind == "rds"),
        (n.BACKUP_EXPIRY, settings.cluster.kind == "eks"),
        *((workload, settings.thanos.enabled) for workload in (n.THANOS_QUERY, n.THANOS_STORE, n.THANOS_COMPACT)),
    ]
    always = [
        n.API, n.MLFLOW, n.MLFLOW_MIGRATE, n.MLFLOW_GC, n.TRAINING, n.BACKUP, n.DRILL, n.PROMETHEUS, n.ALERTMANAGER,
        n.GRAFANA, n.PUSHGATEWAY, n.KUBE_STATE_METRICS, n.NODE_EXPORTER,
        n.POSTGRES_EXPORTER, n.RESTORE,
    ]  # fmt: skip
    return (*always, *(workload for workload, on in optional if on))


def _requests() -> list[Edge]:
    return [
        *_to(n.INGRESS, "http", CLIENTS),
        *_to(n.INGRESS, "https", CLIENTS),
        *_to(n.API, "http", n.INGRESS),
        *_to(n.MLFLOW, "http", n.INGRESS, n.API, n.TRAINING, n.MLFLOW_GC),
        *_to(n.GRAFANA, "http", n.INGRESS),
        *_to(n.CACHE, "redis", n.API),
    ]


def _database(settings: Settings, cloud: CloudOutputs) -> list[Edge]:
    clients = (
        n.MLFLOW, n.MLFLOW_MIGRATE, n.MLFLOW_GC, n.GRAFANA, n.BACKUP, n.RESTORE, n.POSTGRES_SETUP,
        n.POSTGRES_EXPORTER,
    )  # fmt: skip
    if settings.database.kind == "in-cluster":
        return _to(n.POSTGRES, "postgres", *clients)
    outside = Outside(name="database", cidrs=cloud.database.cidrs)
    return _out_all(clients, outside, cloud.database.port)


def _monitoring(cloud: CloudOutputs) -> list[Edge]:
    nodes = Outside(name="nodes", cidrs=cloud.node_cidrs)
    return [
        *_to(n.API, "http", n.PROMETHEUS),
        *_to(n.INGRESS, "metrics", n.PROMETHEUS),
        *_to(n.ALERTMANAGER, "http", n.PROMETHEUS),
        *_to(n.GRAFANA, "http", n.PROMETHEUS),
        *_to(n.KUBE_STATE_METRICS, "http", n.PROMETHEUS),
        *_to(n.KUBE_STATE_METRICS, "telemetry", n.PROMETHEUS),
        *_to(n.NODE_EXPORTER, "http", n.PROMETHEUS),
        *_to(n.POSTGRES_EXPORTER, "http", n.PROMETHEUS),
        *_to(n.PUSHGATEWAY, "http", n.PROMETHEUS, n.TRAINING, n.BACKUP, n.DRILL),
        *_to(n.BLACKBOX, "http", n.PROMETHEUS),
        *_to(n.INGRESS, "https", n.BLACKBOX),
        *_to(n.PROMETHEUS, "http", n.GRAFANA, n.TRAINING),
        *_to(n.ALERTMANAGER, "mesh", n.ALERTMANAGER),
        Edge(source=n.ALERTMANAGER, target=n.ALERTMANAGER, port=n.ALERTMANAGER.ports["mesh"], protocol="UDP"),
        *_out(n.PROMETHEUS, nodes, KUBELET),
        *_out(n.ALERTMANAGER, INTERNET, HTTPS, SMTP),
    ]


def _thanos(cloud: CloudOutputs) -> list[Edge]:
    """Return Thanos's edges: Grafana to query, query to sidecars and store, what holds blocks to S3, and scrapes."""
    aws = Outside(name="aws", cidrs=CLIENTS.cidrs)
    users = (n.PROMETHEUS, n.THANOS_STORE, n.THANOS_COMPACT) if cloud.metrics_bucket is not None else ()
    identity = _out_all(users, POD_IDENTITY, POD_IDENTITY_PORT) if cloud.pod_identity else []
    return [
        *_to(n.THANOS_QUERY, "http", n.GRAFANA, n.PROMETHEUS),
        *_to(n.THANOS_STORE, "http", n.PROMETHEUS),
        *_to(n.THANOS_COMPACT, "http", n.PROMETHEUS),
        *_to(n.THANOS_STORE, "grpc", n.THANOS_QUERY),
        Edge(source=n.THANOS_QUERY, target=n.PROMETHEUS, port=n.THANOS_QUERY.ports["grpc"]),
        *_out_all(users, aws, HTTPS),
        *identity,
    ]


def _balancer(cloud: CloudOutputs) -> list[Edge]:
    """Return the edge for an ALB's health checks of NGINX; an NLB only checks that it accepts connections."""
    if cloud.load_balancer is None or cloud.load_balancer.kind != "alb":
        return []
    return _to(n.INGRESS, "ready", Outside(name="balancer", cidrs=(cloud.load_balancer.vpc_cidr,)))


def _outward(cloud: CloudOutputs) -> list[Edge]:
    api_server = Outside(name="api-server", cidrs=cloud.api_server_cidrs)
    clients = (n.INGRESS, n.PROMETHEUS, n.KUBE_STATE_METRICS)
    ports = KUBERNETES_PORTS if cloud.region is not None else (*KUBERNETES_PORTS, MINIKUBE_PORT)
    edges = _out_all(clients, api_server, *ports)
    if cloud.region is not None:
        # S3, STS and KMS: public addresses unless the network has endpoints for them, which have private ones.
        aws = Outside(name="aws", cidrs=CLIENTS.cidrs)
        users = (n.MLFLOW, n.MLFLOW_MIGRATE, n.TRAINING, n.BACKUP, n.BACKUP_EXPIRY, n.DRILL, n.RESTORE)
        edges += _out_all(users, aws, HTTPS)
        if cloud.pod_identity:
            edges += _out_all(users, POD_IDENTITY, POD_IDENTITY_PORT)
    return edges


def edges(settings: Settings, cloud: CloudOutputs) -> tuple[Edge, ...]:
    """Return every allowed edge between the workloads of this stack."""
    present = set(workloads(settings))
    every = [
        *_requests(),
        *_database(settings, cloud),
        *_monitoring(cloud),
        *_thanos(cloud),
        *_balancer(cloud),
        *_outward(cloud),
    ]
    return tuple(
        edge
        for edge in every
        if all(isinstance(peer, Outside) or peer in present for peer in (edge.source, edge.target))
    )
