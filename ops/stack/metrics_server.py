"""metrics-server for local clusters that bring none, as kind does: without it no autoscaler ever acts.

It belongs to the cluster and not to the stack: EKS, minikube and k3d have their own, and a stack that is destroyed must
not take it away from others. So `churn cluster up` applies these objects; the Pulumi program does not know them. Names
and rights are those of the project's own manifest (kubernetes-sigs/metrics-server, `manifests/base`), so that applying
that one later only updates them.
"""

from __future__ import annotations

from typing import Any, Final

from infra.versions import METRICS_SERVER

NAME: Final = "metrics-server"
NAMESPACE: Final = "kube-system"
PORT: Final = 10250
API: Final = "v1beta1.metrics.k8s.io"
"""The registration of the metrics API, by whichever program serves it."""
SELECTOR: Final = {"k8s-app": NAME}
REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}
"""For a cluster of one node: 40m and 40 MiB, and half a thousandth of a CPU and 4 MiB more for each node
(kubernetes-sigs/metrics-server issue 401)."""
RBAC: Final = "rbac.authorization.k8s.io"
RIGHTS: Final = [
    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
]


def objects() -> list[dict[str, Any]]:
    """Return all objects, in the order in which they are created."""
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    reader, own, delegator = "system:aggregated-metrics-reader", f"system:{NAME}", "system:auth-delegator"
    aggregated = {f"{RBAC}/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")}
    reading = [{"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}]
    registration = {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "service": {"name": NAME, "namespace": NAMESPACE},
        # Its certificate is its own, made at each start.
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    ports = [{"name": "https", "port": 443, "targetPort": PORT}]
    return [
        _object("v1", "ServiceAccount", NAME),
        _object(f"{RBAC}/v1", "ClusterRole", reader, labels=aggregated, everywhere=True, rules=reading),
        _object(f"{RBAC}/v1", "ClusterRole", own, everywhere=True, rules=RIGHTS),
        _binding("ClusterRoleBinding", own, "ClusterRole", own, account),
        _binding("ClusterRoleBinding", f"{NAME}:{delegator}", "ClusterRole", delegator, account),
        _binding("RoleBinding", f"{NAME}-auth-reader", "Role", "extension-apiserver-authentication-reader", account),
        _object("v1", "Service", NAME, spec={"selector": SELECTOR, "ports": ports}),
        _deployment(),
        _object("apiregistration.k8s.io/v1", "APIService", API, everywhere=True, spec=registration),
    ]


def _object(
    version: str, kind: str, name: str, *, labels: dict[str, str] | None = None, everywhere: bool = False, **fields: Any
) -> dict[str, Any]:
    metadata = {"name": name, "labels": {**SELECTOR, **(labels or {})}}
    if not everywhere:
        metadata["namespace"] = NAMESPACE
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def _binding(kind: str, name: str, role_kind: str, role: str, account: dict[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": RBAC, "kind": role_kind, "name": role}
    everywhere = kind == "ClusterRoleBinding"
    return _object(f"{RBAC}/v1", kind, name, everywhere=everywhere, roleRef=reference, subjects=[account])


def _deployment() -> dict[str, Any]:
    def probe(path: str) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "https", "scheme": "HTTPS"}, "periodSeconds": 10}

    container = {
        "name": NAME,
        "image": METRICS_SERVER,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--cert-dir=/tmp",
            f"--secure-port={PORT}",
            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
            "--kubelet-use-node-status-port",
            "--metric-resolution=15s",
            # The kubelets of kind have certificates that no authority signed (kubernetes-sigs/kind issue 398).
            "--kubelet-insecure-tls",
        ],
        "ports": [{"name": "https", "containerPort": PORT}],
        "resources": {"requests": REQUESTS, "limits": {"cpu": "200m", "memory": "256Mi"}},
        "readinessProbe": probe("/readyz"),
        "livenessProbe": probe("/livez"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a path in the pod, on its own volume
    }
    pod = {
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
    }
    return _object(
        "apps/v1",
        "Deployment",
        NAME,
        spec={
            "replicas": 1,
            "selector": {"matchLabels": SELECTOR},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {"metadata": {"labels": SELECTOR}, "spec": pod},
        },
    )
