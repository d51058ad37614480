"""IAM documents: statements about named resources, and who may assume a role. Wildcard actions are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

VERSION = "2012-10-17"
Conditions = Mapping[str, Mapping[str, pulumi.Input[Any]]]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy.

    Only resource and trust policies have ``principals``, where `*` means everybody. A trust policy has no
    ``resources``.
    """

    sid: str
    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]] = ()
    effect: Literal["Allow", "Deny"] = "Allow"
    principals: Mapping[str, Sequence[pulumi.Input[str]]] | Literal["*"] | None = None
    conditions: Conditions = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a statement that grants more than it names.

        Raises:
            ValueError: an allowed action has a wildcard, or IAM would refuse the statement's id.
        """
        wild = [action for action in self.actions if "*" in action]
        if self.effect == "Allow" and wild:
            raise ValueError(f"statement {self.sid} allows {', '.join(wild)}: name the actions")
        if not self.sid.isalnum():
            raise ValueError(f"statement id {self.sid!r} may have letters and digits only")

    def plain(self) -> dict[str, Any]:
        """Return the statement in the form of IAM."""
        statement: dict[str, Any] = {"Sid": self.sid, "Effect": self.effect, "Action": list(self.actions)}
        if self.principals is not None:
            named = self.principals if self.principals == "*" else {k: list(v) for k, v in self.principals.items()}
            statement["Principal"] = named
        if self.resources:
            statement["Resource"] = list(self.resources)
        if self.conditions:
            statement["Condition"] = {operator: dict(values) for operator, values in self.conditions.items()}
        return statement


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """Return a policy document as JSON."""
    policy: pulumi.Output[str] = pulumi.Output.json_dumps(
        {"Version": VERSION, "Statement": [statement.plain() for statement in statements]}
    )
    return policy


def service_trust(service: str, conditions: Conditions | None = None) -> list[Statement]:
    """Return the trust policy of a role for a service of AWS."""
    return [
        Statement(
            sid="Service",
            actions=["sts:AssumeRole"],
            principals={"Service": [service]},
            conditions=conditions or {},
        )
    ]


def irsa_trust(
    provider_arn: pulumi.Input[str], issuer: pulumi.Output[str], namespace: str, account: str
) -> pulumi.Output[list[Statement]]:
    """Return the trust policy of a role for one service account; ``issuer`` is the cluster's, without its scheme."""
    return issuer.apply(
        lambda host: [
            Statement(
                sid="ServiceAccount",
                actions=["sts:AssumeRoleWithWebIdentity"],
                principals={"Federated": [provider_arn]},
                conditions={
                    "StringEquals": {
                        f"{host}:sub": f"system:serviceaccount:{namespace}:{account}",
                        f"{host}:aud": "sts.amazonaws.com",
                    }
                },
            )
        ]
    )


def pod_identity_trust(account_id: str, cluster_arn: pulumi.Input[str]) -> list[Statement]:
    """Return the trust policy of a role that EKS Pod Identity may give to pods of one cluster."""
    return [
        Statement(
            sid="PodIdentity",
            actions=["sts:AssumeRole", "sts:TagSession"],
            principals={"Service": ["pods.eks.amazonaws.com"]},
            conditions={
                "StringEquals": {"aws:SourceAccount": account_id},
                "ArnEquals": {"aws:SourceArn": cluster_arn},
            },
        )
    ]
