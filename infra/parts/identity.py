"""Service accounts: one per workload, without a token in the pod, with the cloud's role where it has one."""

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
    """The account a workload's pods run as; `name` is the component's."""
    role = roles.get(workload.name)
    return ServiceAccount(
        f"{name}-account",
        metadata=named(workload, annotations=None if role is None else {ROLE_ANNOTATION: role}),
        automount_service_account_token=False,
        opts=child(parent),
    )
