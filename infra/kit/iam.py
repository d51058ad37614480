"""IAM documents: statements over named resources, and who may take a role. No wildcard action can be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

VERSION = "2012-10-17"
Conditions = Mapping[str, Mapping[str, pulumi.Input[Any]]]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement. ``principals`` are for resource and trust policies only; `*` there means everybody.

    ``resources`` are those of an identity or resource policy; a trust policy has none.
    """

    sid: str
    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]] = ()
    effect: Literal["Allow", "Deny"] = "Allow"
    principals: Mapping[str, Sequence[pulumi.Input[str]]] | Literal["*"] | None = None
    conditions: Conditions = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what grants more than it names.

        Raises:
            ValueError: an allowed action has a wildcard, or the statement's id is not one that IAM takes.
        """
        wild = [action for action in self.actions if "*" in action]
        if self.effect == "Allow" and wild:
            raise ValueError(f"statement {self.sid} allows {', '.join(wild)}: name the actions")
        if not self.sid.isalnum():
            raise ValueError(f"statement id {self.sid!r} may have letters and digits only")

    def plain(self) -> dict[str, Any]:
        """As IAM wants it."""
        found: dict[str, Any] = {"Sid": self.sid, "Effect": self.effect, "Action": list(self.actions)}
        if self.principals is not None:
            named = self.principals if self.principals == "*" else {k: list(v) for k, v in self.principals.items()}
            found["Principal"] = named
        if self.resources:
            found["Resource"] = list(self.resources)
        if self.conditions:
            found["Condition"] = {operator: dict(values) for operator, values in self.conditions.items()}
        return found


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """A policy document as JSON."""
    made: pulumi.Output[str] = pulumi.Output.json_dumps(
        {"Version": VERSION, "Statement": [statement.plain() for statement in statements]}
    )
    return made


def service_trust(service: str, conditions: Conditions | None = None) -> list[Statement]:
    """A role for a service of AWS."""
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
    """A role for exactly one service account of a cluster, whose issuer is named without its scheme."""
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
    """A role for what EKS Pod Identity associates with it, in one cluster."""
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
