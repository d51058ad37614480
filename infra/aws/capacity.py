"""Nodes and volumes as Kubernetes sees them: node pools and storage class, objects inside the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.storage.v1 import StorageClass

from infra.aws.scope import Scope
from infra.cloud import Spot
from infra.kit.options import child
from infra.naming import OWNER_LABELS, PROJECT

STORAGE_CLASS: Final = "gp3-encrypted"
SPOT: Final = Spot(label=("churn.io/capacity", "spot"), taint=("churn.io/spot", "true"))
"""Nodes that AWS reclaims at two minutes' notice; only pods that tolerate the taint run on them."""
NODE_CLASS: Final = PROJECT
FILE_SYSTEM: Final = "ext4"
NODE_DISK: Final = "80Gi"
LIFE_HOURS: Final = 14 * 24
"""Maximum age of a node, so that its image is never old; Auto Mode's own limit is 21 days."""


@dataclass(frozen=True, kw_only=True)
class CapacityArgs:
    """The stack, the nodes' network and role, and the key for their disks."""

    scope: Scope
    subnets: Sequence[pulumi.Input[str]]
    node_group: pulumi.Input[str]
    node_role: pulumi.Input[str]
    data_key: pulumi.Input[str]


class Capacity(pulumi.ComponentResource):
    """The storage class and, with Auto Mode, the node class, its two pools and the switch for network policies."""

    def __init__(self, name: str, args: CapacityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Capacity", name, {}, opts)
        auto = args.scope.settings.eks.nodes == "auto"
        StorageClass(
            f"{name}-storage",
            metadata=ObjectMetaArgs(name=STORAGE_CLASS, labels=OWNER_LABELS),
            provisioner="ebs.csi.eks.amazonaws.com" if auto else "ebs.csi.aws.com",
            parameters=volume_parameters(args),
            allow_volume_expansion=True,
            # Creates the volume in the zone of the first pod that uses it.
            volume_binding_mode="WaitForFirstConsumer",
            reclaim_policy="Retain" if args.scope.settings.state.protect else "Delete",
            opts=child(self),
        )
        if auto:
            self._auto_mode(name, args)
        self.register_outputs({})

    def _auto_mode(self, name: str, args: CapacityArgs) -> None:
        # Without it nothing enforces network policies.
        ConfigMap(
            f"{name}-network-policy",
            metadata=ObjectMetaArgs(name="amazon-vpc-cni", namespace="kube-system", labels=OWNER_LABELS),
            data={"enable-network-policy-controller": "true"},
            opts=child(self),
        )
        node_class = CustomResource(
            f"{name}-nodes",
            api_version="eks.amazonaws.com/v1",
            kind="NodeClass",
            metadata=ObjectMetaArgs(name=NODE_CLASS, labels=OWNER_LABELS),
            spec=node_class_spec(args),
            opts=child(self),
        )
        settings = args.scope.settings.eks
        pools = {
            "on-demand": pool_spec("on-demand", settings.cpu_limit),
            "spot": pool_spec("spot", settings.spot_cpu_limit, spot=SPOT),
        }
        for role, spec in pools.items():
            CustomResource(
                f"{name}-{role}",
                api_version="karpenter.sh/v1",
                kind="NodePool",
                metadata=ObjectMetaArgs(name=f"{PROJECT}-{role}", labels=OWNER_LABELS),
                spec=spec,
                opts=child(self, after=[node_class]),
            )


def volume_parameters(args: CapacityArgs) -> dict[str, pulumi.Input[str]]:
    """Return the parameters of EBS volumes: type, encryption, and the cost-allocation tags."""
    tags = {
        f"tagSpecification_{index}": f"{key}={value}"
        for index, (key, value) in enumerate(args.scope.tags.items(), start=1)
    }
    return {
        "type": "gp3",
        "encrypted": "true",
        "kmsKeyId": args.data_key,
        "csi.storage.k8s.io/fstype": FILE_SYSTEM,
        **tags,
    }


def node_class_spec(args: CapacityArgs) -> dict[str, Any]:
    """Return the spec of nodes in private subnets, with encrypted disks, our tags, and a log of refused packets."""
    return {
        "role": args.node_role,
        "subnetSelectorTerms": [{"id": subnet} for subnet in args.subnets],
        "securityGroupSelectorTerms": [{"id": args.node_group}],
        "networkPolicy": "DefaultAllow",
        "networkPolicyEventLogs": "Enabled",
        "ephemeralStorage": {"size": NODE_DISK, "kmsKeyID": args.data_key},
        "tags": args.scope.tags,
    }


def pool_spec(capacity: str, cpu_limit: int, spot: Spot | None = None) -> dict[str, Any]:
    """Return the spec of a pool with one kind of capacity and a maximum number of cores."""
    template: dict[str, Any] = {
        "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": NODE_CLASS},
        "expireAfter": f"{LIFE_HOURS}h",
        "requirements": [
            _one_of("karpenter.sh/capacity-type", capacity),
            _one_of("kubernetes.io/arch", "amd64"),
            _one_of("kubernetes.io/os", "linux"),
            _one_of("eks.amazonaws.com/instance-category", "c", "m", "r"),
            {"key": "eks.amazonaws.com/instance-generation", "operator": "Gt", "values": ["5"]},
        ],
    }
    labels: dict[str, str] = {}
    if spot is not None:
        key, value = spot.taint
        template["taints"] = [{"key": key, "value": value, "effect": "NoSchedule"}]
        labels = dict([spot.label])
    return {
        "template": {"metadata": {"labels": labels}, "spec": template} if labels else {"spec": template},
        "limits": {"cpu": str(cpu_limit)},
        "disruption": {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": "5m",
            # One node at a time, so that evicted pods have somewhere to go.
            "budgets": [{"nodes": "1"}],
        },
    }


def _one_of(key: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}
