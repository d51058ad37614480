"""Service accounts: one for each workload, without a token in its pods, with its role in the cloud if it has one."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount

from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import Workload

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


def service_account(
    parent: pulumi.Resource, name: str, workload: Workload, roles: Mapping[str, pulumi.Input[str]]
) -> ServiceAccount:
    """Create the account that a workload's pods run as; ``name`` is that of the component."""
    role = roles.get(workload.name)
    return ServiceAccount(
        f"{name}-account",
        metadata=named(workload, annotations=None if role is None else {ROLE_ANNOTATION: role}),
        automount_service_account_token=False,
        opts=child(parent),
    )
