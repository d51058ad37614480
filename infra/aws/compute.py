"""Where pods run: the cluster, its add-ons, and its nodes unless Auto Mode provides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi

from infra.aws import addons
from infra.aws.addons import Addons, AddonsArgs
from infra.aws.capacity import Capacity, CapacityArgs
from infra.aws.cluster import Cluster, ClusterArgs
from infra.aws.identity import Identity, IdentityArgs
from infra.aws.keys import Keys
from infra.aws.network import Network
from infra.aws.node_groups import NodeGroups, NodeGroupsArgs
from infra.aws.scope import Scope

VOLUMES_POLICY: Final = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"


@dataclass(frozen=True, kw_only=True)
class ComputeArgs:
    """The stack, its network and its keys."""

    scope: Scope
    network: Network
    keys: Keys


class Compute(pulumi.ComponentResource):
    """The cluster, then the add-ons without which no node becomes ready, then the nodes, then all other add-ons."""

    cluster: Cluster

    def __init__(self, name: str, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Compute", name, {}, opts)
        self._args = args
        scope, keys, network = args.scope, args.keys, args.network
        settings = scope.settings.eks
        cluster_args = ClusterArgs(
            scope=scope,
            vpc_id=network.vpc_id,
            subnets=network.private_subnets,
            data_key=keys.data,
            cluster_key=keys.cluster,
            log_key=keys.logs,
        )
        self.cluster = Cluster(f"{name}-cluster", cluster_args, self._after(network))
        ready = [self.cluster, *(self._nodes(name) if settings.nodes == "managed" else [])]
        required = addons.required(settings.nodes, settings.identity)
        roles = self._addon_roles(name) if addons.VOLUMES in required else {}
        Addons(f"{name}-addons", AddonsArgs(scope=scope, addons=required, roles=roles), self._after(*ready))
        self.register_outputs({})

    def capacity(self, options: pulumi.ResourceOptions) -> Capacity:
        """Create storage class and pools, which need a provider for the inside of the cluster."""
        args = CapacityArgs(
            scope=self._args.scope,
            subnets=self._args.network.private_subnets,
            node_group=self.cluster.node_group,
            node_role=self.cluster.roles.node.name,
            data_key=self._args.keys.data,
        )
        return Capacity("capacity", args, options)

    def _nodes(self, name: str) -> list[pulumi.Resource]:
        scope = self._args.scope
        early = AddonsArgs(scope=scope, addons=addons.BEFORE_NODES)
        first = Addons(f"{name}-addons-early", early, self._after(self.cluster))
        args = NodeGroupsArgs(
            scope=scope,
            subnets=self._args.network.private_subnets,
            role=self.cluster.roles.node.arn,
            key=self._args.keys.data,
        )
        return [NodeGroups(f"{name}-nodes", args, self._after(self.cluster, first))]

    def _addon_roles(self, name: str) -> dict[str, pulumi.Input[str]]:
        """Create the role with which the volume driver creates volumes; return it by the add-on's name."""
        args = IdentityArgs(
            scope=self._args.scope,
            namespace="kube-system",
            account="ebs-csi-controller-sa",
            statements=[],
            issuer=self.cluster.issuer,
            issuer_arn=self.cluster.issuer_arn,
            managed_policy=VOLUMES_POLICY,
        )
        return {addons.VOLUMES.name: Identity(f"{name}-volumes", args, self._after(self.cluster)).arn}

    def _after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(resources))
