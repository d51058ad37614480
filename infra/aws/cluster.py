"""The EKS cluster behind our own interface: `pulumi_eks` creates it in a provider of its own, which hides its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from infra.aws.cluster_roles import ClusterRoles, ClusterRolesArgs
from infra.aws.log_group import log_group
from infra.aws.scope import Scope
from infra.config_aws import EksSettings
from infra.kit.options import child
from infra.naming import COMPARISON_GROUP, PREVIEW_ROLE, PREVIEWED, deploy_role, drift_role

SERVICES: Final = "172.20.0.0/16"
"""Addresses of Services inside the cluster."""
API_SERVER: Final = "172.20.0.1/32"
"""The Service `kubernetes`: the first address, as that of DNS is the tenth (awslabs/amazon-eks-ami 92)."""
DNS: Final = "172.20.0.10/32"
LOGS: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
SYSTEM_POOL: Final = "system"
"""The only built-in pool of Auto Mode that is used, for its add-ons; our own pools have our tags and our key."""
POLICIES: Final = "arn:aws:eks::aws:cluster-access-policy"
ADMIN: Final = f"{POLICIES}/AmazonEKSClusterAdminPolicy"
VIEW: Final = f"{POLICIES}/AmazonEKSViewPolicy"
"""Reads pods and what holds them, but no roles, Secrets and custom resources; see `infra/workloads/comparison.py`."""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """The cluster's network, and the keys that encrypt it."""

    scope: Scope
    vpc_id: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    data_key: pulumi.Input[str]
    cluster_key: pulumi.Input[str]
    log_key: pulumi.Input[str]


class Cluster(pulumi.ComponentResource):
    """Roles, the log group of the control plane, and the cluster with its OIDC provider."""

    name: str
    kubeconfig: pulumi.Output[str]
    issuer: pulumi.Output[str]
    """Address of the OIDC issuer, without its scheme."""
    issuer_arn: pulumi.Output[str]
    node_group: pulumi.Output[str]
    """The security group that every node is in."""
    roles: ClusterRoles

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Cluster", name, {}, opts)
        scope = args.scope
        settings = scope.settings.eks
        self.name = scope.prefix
        roles_args = ClusterRolesArgs(scope=scope, data_key=args.data_key, cluster_key=args.cluster_key)
        self.roles = ClusterRoles(f"{name}-roles", roles_args, pulumi.ResourceOptions(parent=self))
        # EKS itself would create it without a key and without an expiry.
        logs = log_group(
            self, f"{name}-logs", path=f"/aws/eks/{self.name}/cluster", days=settings.log_days, key=args.log_key
        )
        cluster = eks.Cluster(
            f"{name}-eks",
            name=self.name,
            version=settings.version,
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            vpc_id=args.vpc_id,
            private_subnet_ids=list(args.subnets),
            node_associate_public_ip_address=False,
            kubernetes_service_ip_address_range=SERVICES,
            authentication_mode=eks.AuthenticationMode.API,
            access_entries=access(scope.account.id, scope.settings.stack, settings.admins),
            endpoint_private_access=True,
            endpoint_public_access=bool(settings.public_cidrs),
            public_access_cidrs=list(settings.public_cidrs) or None,
            encryption_config_key_arn=args.cluster_key,
            enabled_cluster_log_types=list(LOGS),
            deletion_protection=scope.settings.state.protect,
            create_oidc_provider=True,
            service_role=self.roles.cluster,
            cluster_tags=scope.tags,
            tags=scope.tags,
            **_nodes(settings, self.roles),
            opts=pulumi.ResourceOptions.merge(
                child(self, after=[logs, self.roles]),
                pulumi.ResourceOptions(protect=scope.settings.state.protect, transforms=[without_creator]),
            ),
        )
        self.kubeconfig = cluster.kubeconfig_json
        self.issuer, self.issuer_arn = cluster.oidc_issuer, cluster.oidc_provider_arn
        self.node_group = cluster.cluster_security_group_id
        self.register_outputs({"kubeconfig": pulumi.Output.secret(self.kubeconfig)})


def access(account_id: str, stack: str, admins: Sequence[str]) -> dict[str, eks.AccessEntryArgs]:
    """Return who may enter the cluster: the workflows that deploy it and look at it, and the administrators.

    The bootstrap creates the workflows' roles before the first stack. EKS refuses an entry for one that does not exist.
    """
    workflows = {"deploy": (deploy_role(stack), ADMIN), "drift": (drift_role(stack), VIEW)}
    if stack == PREVIEWED:
        workflows["preview"] = (PREVIEW_ROLE, VIEW)
    roles = {name: (f"arn:aws:iam::{account_id}:role/{role}", rights) for name, (role, rights) in workflows.items()}
    known = [arn for arn, _ in roles.values()]
    people = {
        f"admin-{index}": (arn, ADMIN) for index, arn in enumerate((a for a in admins if a not in known), start=1)
    }
    whole = aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
    return {
        name: eks.AccessEntryArgs(
            principal_arn=arn,
            kubernetes_groups=[COMPARISON_GROUP] if name == "drift" else None,
            access_policies={"rights": eks.AccessPolicyAssociationArgs(access_scope=whole, policy_arn=policy)},
        )
        for name, (arn, policy) in (roles | people).items()
    }


def without_creator(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Give whoever creates the cluster no rights by that alone.

    The component always asks for them (pulumi-eks, nodejs/eks/cluster/cluster.ts). EKS then makes an access entry of
    its own, and refuses ours if the same role creates the cluster, as that of the deployment may; and a person who
    created it once would stay its administrator.
    """
    if args.type_ != "aws:eks/cluster:Cluster":
        return None
    config = pulumi.Output.from_input(args.props.get("accessConfig") or {}).apply(
        lambda asked: {**asked, "bootstrapClusterCreatorAdminPermissions": False}
    )
    return pulumi.ResourceTransformResult(props={**args.props, "accessConfig": config}, opts=args.opts)


def _nodes(settings: EksSettings, roles: ClusterRoles) -> dict[str, Any]:
    """Return the options of Auto Mode, or those for no nodes: managed node groups are resources of our own."""
    if settings.nodes == "auto":
        compute = eks.ClusterComputeConfigArgs(node_pools=[SYSTEM_POOL], node_role_arn=roles.node.arn)
        return {
            **_nothing_more(),
            "auto_mode": eks.AutoModeOptionsArgs(enabled=True, create_node_role=False, compute_config=compute),
        }
    return {
        **_nothing_more(),
        "skip_default_security_groups": True,
        "use_default_vpc_cni": True,
        "kube_proxy_addon_options": eks.KubeProxyAddonOptionsArgs(enabled=False),
    }


def _nothing_more() -> dict[str, Any]:
    """Return the options without which the component makes nodes' roles and add-ons that the program does not know.

    With Auto Mode too it would make a role of nodes, an access entry by which its holder joins the cluster, and an
    add-on for the DNS that Auto Mode brings itself (pulumi-eks #1726, `createCore` in `nodejs/eks/cluster/cluster.ts`).
    """
    return {
        "skip_default_node_group": True,
        "create_instance_role": False,
        # It would install the most recent version, so an unrelated change would upgrade it.
        "coredns_addon_options": eks.CoreDnsAddonOptionsArgs(enabled=False),
        "bootstrap_self_managed_addons": False,
    }
