"""What `kubectl get` shows of a cluster that kind has just created on two CPUs."""

from __future__ import annotations

from typing import Any

from support import kind_node

NODE = "churn-control-plane"
Json = dict[str, Any]


def node(name: str = NODE, **status: Any) -> Json:
    """A node that takes pods."""
    item = kind_node.node(name, {})
    info = {"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.34.0"}
    return {
        **item,
        "spec": {},
        "status": {**item["status"], "nodeInfo": info, "conditions": [{"type": "Ready", "status": "True"}], **status},
    }


def pod(namespace: str, name: str, cpu: str, *, phase: str = "Running", on: str = NODE) -> Json:
    """A pod on a node that requests processor time."""
    containers = [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]
    metadata = {"name": name, "namespace": namespace}
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": on, "containers": containers},
        "status": {"phase": phase},
    }


def kindnet(tag: str = "v20250512-df8de77b") -> Json:
    """kind's network, by the tag of its image."""
    containers = [{"name": "kindnet-cni", "image": f"docker.io/kindest/kindnetd:{tag}"}]
    return {
        "kind": "DaemonSet",
        "metadata": {"name": "kindnet", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


def storage_class(name: str = "standard", *, default: bool = True, grows: bool = False) -> Json:
    """A storage class; kind's does not grow."""
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    item: Json = {"kind": "StorageClass", "metadata": {"name": name, "annotations": annotations}}
    return item | ({"allowVolumeExpansion": True} if grows else {})


def metrics_api(status: str = "True") -> Json:
    """The registration of the metrics API."""
    condition = {"type": "Available", "status": status, "reason": "MissingEndpoints" if status == "False" else "Passed"}
    return {"kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"}, "status": {"conditions": [condition]}}


def new_kind_cluster() -> list[Json]:
    """Everything that the examination reads, without a metrics API."""
    own = [pod("kube-system", name, requests["cpu"]) for name, requests in kind_node.OWN_PODS.items()]
    return [node(), *own, kindnet(), storage_class()]
