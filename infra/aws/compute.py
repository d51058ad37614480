"""Where pods run: the cluster, its add-ons, and its nodes unless Auto Mode provides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi

from infra.aws import addons
from infra.aws.addons import Addons, AddonsArgs
from infra.aws.capacity import Capacity, CapacityArgs
from infra.aws.cluster import Cluster, ClusterArgs
from infra.aws.cluster_roles import volumes
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
    drivers: Addons
    """The add-ons of pods: they mount secrets and volumes, and define the objects that describe these."""

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
        ready: list[pulumi.Resource] = [self.cluster, *(self._nodes(name) if settings.nodes == "managed" else [])]
        required = addons.required(settings.nodes, settings.identity)
        roles: dict[str, pulumi.Input[str]] = {}
        if addons.VOLUMES in required:
            identity = self._volumes(name)
            # EKS gives a role to a new pod alone, so the association comes before the driver.
            ready.append(identity)
            # With Pod Identity, the annotation that this sets would have the driver ask for the role by a token that
            # the role does not trust.
            roles = {addons.VOLUMES.name: identity.arn} if identity.annotated else {}
        addons_args = AddonsArgs(scope=scope, addons=required, roles=roles)
        self.drivers = Addons(f"{name}-addons", addons_args, self._after(*ready))
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

    def _volumes(self, name: str) -> Identity:
        """Create the identity with which the driver creates volumes, and encrypts them with our key.

        AWS's managed policy has no right to a key of ours (EKS user guide, "Use Kubernetes volume storage with Amazon
        EBS", the step on custom KMS keys).
        """
        args = IdentityArgs(
            scope=self._args.scope,
            namespace="kube-system",
            account="ebs-csi-controller-sa",
            statements=volumes(self._args.keys.data),
            issuer=self.cluster.issuer,
            issuer_arn=self.cluster.issuer_arn,
            managed_policy=VOLUMES_POLICY,
        )
        return Identity(f"{name}-volumes", args, self._after(self.cluster))

    def _after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(resources))
