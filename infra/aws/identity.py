"""Workload identity: a role for one service account, by IRSA or by EKS Pod Identity, with rights to named resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import eks, iam

from infra.aws.scope import Scope
from infra.kit.iam import Statement, document, irsa_trust, pod_identity_trust
from infra.kit.options import child


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """The service account, its rights, and the issuer of its tokens."""

    scope: Scope
    namespace: str
    account: str
    statements: Sequence[Statement]
    issuer: pulumi.Output[str]
    issuer_arn: pulumi.Input[str]
    managed_policy: str | None = None
    """ARN of a policy managed by AWS, for AWS's own add-ons."""


class Identity(pulumi.ComponentResource):
    """Role, policy and, with Pod Identity, the association."""

    arn: pulumi.Output[str]
    annotated: bool
    """Whether an annotation of the service account names the role; with Pod Identity the association does."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Identity", name, {}, opts)
        scope = args.scope
        self.annotated = scope.settings.eks.identity == "irsa"
        role = iam.Role(f"{name}-role", assume_role_policy=self._trust(args), opts=child(self))
        if args.statements:
            iam.RolePolicy(f"{name}-policy", role=role.id, policy=document(args.statements), opts=child(self))
        if args.managed_policy is not None:
            iam.RolePolicyAttachment(
                f"{name}-managed", role=role.name, policy_arn=args.managed_policy, opts=child(self)
            )
        if not self.annotated:
            eks.PodIdentityAssociation(
                f"{name}-association",
                cluster_name=scope.prefix,
                namespace=args.namespace,
                service_account=args.account,
                role_arn=role.arn,
                opts=child(self),
            )
        self.arn = role.arn
        self.register_outputs({"arn": self.arn})

    def _trust(self, args: IdentityArgs) -> pulumi.Output[str]:
        if self.annotated:
            trust = irsa_trust(args.issuer_arn, args.issuer, args.namespace, args.account)
            policy: pulumi.Output[str] = trust.apply(document)
            return policy
        return document(pod_identity_trust(args.scope.account.id, args.scope.cluster_arn))
