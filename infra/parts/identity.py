"""Service accounts: one for each workload, without a token in its pods.

An account has its role in the cloud if there is one, and the login with which its pods' images are pulled.
"""

from __future__ import annotations

import pulumi
from pulumi_kubernetes.core.v1 import LocalObjectReferenceArgs, ServiceAccount

from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import Workload
from infra.parts.context import Context
from infra.parts.pull_secret import PULL_SECRET

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


def service_account(parent: pulumi.Resource, name: str, workload: Workload, context: Context) -> ServiceAccount:
    """Create the account that a workload's pods run as; ``name`` is that of the component."""
    role = context.cloud.roles.get(workload.name)
    pulls = [LocalObjectReferenceArgs(name=PULL_SECRET)] if context.images.settings.pull_secret else None
    return ServiceAccount(
        f"{name}-account",
        metadata=named(workload, annotations=None if role is None else {ROLE_ANNOTATION: role}),
        automount_service_account_token=False,
        image_pull_secrets=pulls,
        opts=child(parent),
    )
