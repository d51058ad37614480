"""The smallest cluster that the documents promise: one node of kind with two CPUs, and what kind runs on it itself."""

from __future__ import annotations

from typing import Any, Final

from ops.stack.demand import Room, room

CPUS: Final = 2
MEMORY: Final = Room(mib=5 * 1024)
"""Of the 6 GiB that the documents ask for, since a machine also needs memory for what is in no pod."""
OWN_PODS: Final = {
    # kubernetes/kubernetes cmd/kubeadm/app/phases/controlplane/manifests.go
    "kube-apiserver": {"cpu": "250m"},
    "kube-controller-manager": {"cpu": "200m"},
    "kube-scheduler": {"cpu": "100m"},
    # cmd/kubeadm/app/phases/etcd/local.go
    "etcd": {"cpu": "100m", "memory": "100Mi"},
    # cmd/kubeadm/app/phases/addons/dns/manifests.go, two replicas
    "coredns-1": {"cpu": "100m", "memory": "70Mi"},
    "coredns-2": {"cpu": "100m", "memory": "70Mi"},
    # kubernetes-sigs/kind pkg/build/nodeimage/const_cni.go
    "kindnet": {"cpu": "100m", "memory": "50Mi"},
}
"""What each pod of kind's own requests; kube-proxy and the storage provisioner request nothing."""


def taken() -> Room:
    """What kind's own pods request together."""
    return sum((room(requests) for requests in OWN_PODS.values()), Room())


def free() -> Room:
    """What is left for the platform and for metrics-server."""
    return Room(CPUS * 1000, MEMORY.mib) - taken()


def node(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """The node, for a cluster whose nodes kwok plays."""
    capacity = {"cpu": str(CPUS), "memory": f"{MEMORY.mib}Mi", "ephemeral-storage": "100Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**labels, "kubernetes.io/hostname": name}},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def own_pods(on: str, namespace: str) -> list[dict[str, Any]]:
    """Pods that request what kind's own do, on one node."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"kinds-{name}", "namespace": namespace},
            "spec": {
                "nodeName": on,
                "automountServiceAccountToken": False,
                "containers": [{"name": "main", "image": "kind:1", "resources": {"requests": requests}}],
            },
        }
        for name, requests in OWN_PODS.items()
    ]
