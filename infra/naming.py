"""Names, labels and ports of workloads. Selectors are derived from them, never written out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

PROJECT: Final = "churn"
"""The project: part of every name, label and configuration key."""

INGRESS_NAMESPACE: Final = f"{PROJECT}-ingress"
SERVING: Final = f"{PROJECT}-serving"
MLOPS: Final = f"{PROJECT}-mlops"
MONITORING: Final = f"{PROJECT}-monitoring"
NODES: Final = f"{PROJECT}-nodes"
NAMESPACES: Final = (INGRESS_NAMESPACE, SERVING, MLOPS, MONITORING, NODES)


ENVIRONMENTS: Final = ("staging", "prod")
"""The stacks on AWS, which workflows deploy."""


def deploy_role(stack: str) -> str:
    """Return the name of the role with which the workflows deploy a stack."""
    return f"{PROJECT}-deploy-{stack}"


def drift_role(stack: str) -> str:
    """Return the name of the role with which the workflows compare a stack with the main branch."""
    return f"{PROJECT}-drift-{stack}"


PREVIEW_ROLE: Final = f"{PROJECT}-preview"
PREVIEWED: Final = "staging"
"""The only stack that pull requests see. Whoever opens one may run any code with its role."""


def boundary_name(stack: str) -> str:
    """Return the name of the IAM policy that bounds every role of a stack."""
    return f"{PROJECT}-boundary-{stack}"


PART_OF: Final = "app.kubernetes.io/part-of"
"""The label by which everything of the platform is found."""
COMPARISON_GROUP: Final = f"{PROJECT}:comparison"
"""Group in a cluster on AWS of the workflow that compares it with the program."""
OWNER_LABELS: Final = {PART_OF: PROJECT, "app.kubernetes.io/managed-by": "pulumi"}
"""Labels of every object that the program creates."""

OWN_UID: Final = 10001
"""User in the images that this project builds."""
NOBODY_UID: Final = 65534


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A program that runs in pods of one kind.

    ``ports`` have the names that the container, the Service, the probes and the policies use. ``uid`` is the numeric
    user of its image, which Pod Security requires.
    """

    name: str
    namespace: str
    uid: int
    ports: dict[str, int] = field(default_factory=dict, hash=False)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that select exactly this workload's pods in its namespace."""
        return {"app.kubernetes.io/name": self.name, PART_OF: PROJECT}

    @property
    def host(self) -> str:
        """Host name of its Service inside the cluster."""
        return f"{self.name}.{self.namespace}.svc"

    def url(self, port: str = "http") -> str:
        """Return its address inside the cluster."""
        return f"http://{self.host}:{self.ports[port]}"


INGRESS: Final = Workload(
    name="ingress",
    namespace=INGRESS_NAMESPACE,
    uid=101,
    ports={"http": 80, "https": 443, "metrics": 9113, "ready": 8081},
)
"""NGINX puts its own port into redirects to HTTPS, so it must listen on the ports that clients use."""
EDGE_NODE_PORT: Final = 30043
"""Node port of HTTPS in a local cluster, to which `kind.yaml` maps this machine's port 443.

It is one of those that Kubernetes gives to nobody who did not ask for it (KEP 3668: 30000 to 30085).
"""
API: Final = Workload(name="api", namespace=SERVING, uid=OWN_UID, ports={"http": 8000})
CACHE: Final = Workload(name="cache", namespace=SERVING, uid=999, ports={"redis": 6379})
MLFLOW: Final = Workload(name="mlflow", namespace=MLOPS, uid=OWN_UID, ports={"http": 5000})
MLFLOW_MIGRATE: Final = Workload(name="mlflow-migrate", namespace=MLOPS, uid=OWN_UID)
MLFLOW_GC: Final = Workload(name="mlflow-gc", namespace=MLOPS, uid=OWN_UID)
POSTGRES_SETUP: Final = Workload(name="postgres-setup", namespace=MLOPS, uid=OWN_UID)
POSTGRES: Final = Workload(name="postgres", namespace=MLOPS, uid=70, ports={"postgres": 5432})
TRAINING: Final = Workload(name="training", namespace=MLOPS, uid=OWN_UID)
BACKUP: Final = Workload(name="backup", namespace=MLOPS, uid=OWN_UID)
BACKUP_EXPIRY: Final = Workload(name="backup-expiry", namespace=MLOPS, uid=OWN_UID)
DRILL: Final = Workload(name="drill", namespace=MLOPS, uid=OWN_UID)
RESTORE: Final = Workload(name="restore", namespace=MLOPS, uid=OWN_UID)
PROMETHEUS: Final = Workload(name="prometheus", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 9090})
THANOS_QUERY: Final = Workload(
    name="thanos-query", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 10902, "grpc": 10901}
)
THANOS_STORE: Final = Workload(
    name="thanos-store", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 10902, "grpc": 10901}
)
THANOS_COMPACT: Final = Workload(name="thanos-compact", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 10902})
ALERTMANAGER: Final = Workload(
    name="alertmanager", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 9093, "mesh": 9094}
)
GRAFANA: Final = Workload(name="grafana", namespace=MONITORING, uid=472, ports={"http": 3000})
PUSHGATEWAY: Final = Workload(name="pushgateway", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 9091})
KUBE_STATE_METRICS: Final = Workload(
    name="kube-state-metrics", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 8080, "telemetry": 8081}
)
NODE_EXPORTER: Final = Workload(name="node-exporter", namespace=NODES, uid=NOBODY_UID, ports={"http": 9100})
POSTGRES_EXPORTER: Final = Workload(
    name="postgres-exporter", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 9187}
)
"""In the namespace of Prometheus, which may find pods there, and of Grafana, another client of the database."""
BLACKBOX: Final = Workload(name="blackbox", namespace=MONITORING, uid=NOBODY_UID, ports={"http": 9115})
