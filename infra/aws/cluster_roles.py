"""The two roles of an EKS cluster: its own, to create nodes, volumes and load balancers, and that of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import iam

from infra.aws.scope import Scope
from infra.kit.iam import Statement, document
from infra.kit.options import child

MANAGED: Final = "arn:aws:iam::aws:policy"
CLUSTER_POLICIES: Final = {
    "auto": (
        "AmazonEKSClusterPolicy",
        "AmazonEKSComputePolicy",
        "AmazonEKSBlockStoragePolicy",
        "AmazonEKSLoadBalancingPolicy",
        "AmazonEKSNetworkingPolicy",
    ),
    "managed": ("AmazonEKSClusterPolicy",),
}
NODE_POLICIES: Final = {
    "auto": ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"),
    "managed": ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy"),
}
LAUNCHED: Final = (
    "fleet",
    "instance",
    "launch-template",
    "network-interface",
    # A launch on spot tags its request too; a policy without it lets no spot node start (karpenter-provider-aws,
    # `controller-policy.json`, AllowScopedEC2InstanceActionsWithTags).
    "spot-instances-request",
    "volume",
)
"""What a launch of nodes creates and tags."""
OWN_CLUSTER: Final = {"aws:RequestTag/eks:eks-cluster-name": "${aws:PrincipalTag/eks:eks-cluster-name}"}
"""Matches only resources tagged as this cluster's; EKS sets both tags."""


def tagging(scope: Scope) -> list[Statement]:
    """Return the rights to put our tags on what Auto Mode creates; AWS's managed policies allow only its own tags.

    These actions create resources that have no name yet, so a condition has to limit them instead.
    """
    ec2, balancers = scope.arn("ec2", ""), scope.arn("elasticloadbalancing", "")
    equals = {"StringEquals": OWN_CLUSTER}
    return [
        Statement(
            sid="Compute",
            actions=["ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances"],
            resources=[f"{ec2}{kind}/*" for kind in LAUNCHED],
            conditions=equals,
        ),
        Statement(
            sid="Storage",
            actions=["ec2:CreateSnapshot", "ec2:CreateVolume"],
            resources=[f"{ec2}volume/*", f"arn:aws:ec2:{scope.region}::snapshot/*"],
            conditions=equals,
        ),
        Statement(
            sid="Networking",
            actions=["ec2:CreateNetworkInterface", "ec2:CreateSecurityGroup"],
            resources=[f"{ec2}network-interface/*", f"{ec2}security-group/*"],
            conditions=equals,
        ),
        Statement(
            sid="LoadBalancing",
            actions=[
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:CreateLoadBalancer",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:CreateTargetGroup",
            ],
            resources=[f"{balancers}{kind}/*" for kind in ("listener", "listener-rule", "loadbalancer", "targetgroup")],
            conditions=equals,
        ),
    ]


def volumes(key: pulumi.Input[str]) -> list[Statement]:
    """Return the rights to encrypt volumes with our key; grants are possible only to services of AWS."""
    return [
        Statement(
            sid="UseKey",
            actions=[
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            resources=[key],
        ),
        Statement(
            sid="GrantKey",
            actions=["kms:CreateGrant"],
            resources=[key],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class ClusterRolesArgs:
    """The stack, and the keys for volumes and for Kubernetes' secrets."""

    scope: Scope
    data_key: pulumi.Input[str]
    cluster_key: pulumi.Input[str]


class ClusterRoles(pulumi.ComponentResource):
    """The cluster's role and the nodes' role."""

    cluster: iam.Role
    node: iam.Role

    def __init__(self, name: str, args: ClusterRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:ClusterRoles", name, {}, opts)
        nodes = args.scope.settings.eks.nodes
        self.cluster = self._role(name, "cluster", "eks.amazonaws.com", CLUSTER_POLICIES[nodes])
        self.node = self._role(name, "node", "ec2.amazonaws.com", NODE_POLICIES[nodes])
        envelope = Statement(
            sid="Envelope",
            actions=["kms:CreateGrant", "kms:DescribeKey", "kms:Decrypt", "kms:Encrypt"],
            resources=[args.cluster_key],
        )
        own = [envelope, *(tagging(args.scope) if nodes == "auto" else []), *volumes(args.data_key)]
        iam.RolePolicy(f"{name}-cluster-own", role=self.cluster.id, policy=document(own), opts=child(self))
        self.register_outputs({})

    def _role(self, name: str, role: str, service: str, policies: tuple[str, ...]) -> iam.Role:
        actions = ["sts:AssumeRole", "sts:TagSession"] if role == "cluster" else ["sts:AssumeRole"]
        trust = Statement(sid="Service", actions=actions, principals={"Service": [service]})
        created = iam.Role(f"{name}-{role}", assume_role_policy=document([trust]), opts=child(self))
        for policy in policies:
            iam.RolePolicyAttachment(
                f"{name}-{role}-{policy}", role=created.name, policy_arn=f"{MANAGED}/{policy}", opts=child(self)
            )
        return created
