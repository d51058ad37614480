"""Roles that services of AWS act with in an account: whoever uses the service for the first time needs them to exist.

AWS creates most of them when they are needed. These two it does not: KMS refuses a key's policy that names Auto
Scaling's role before it exists (terraform-aws-eks #1619, #3013), and a cluster's role may not create that of Spot
(karpenter-provider-aws, `website/content/en/docs/troubleshooting.md`, ServiceLinkedRoleCreationNotPermitted).
"""

from __future__ import annotations

from typing import Any, Final

NAMES: Final = {
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}
"""The role of each service; AWS fixes the names."""


def create(iam: Any) -> list[str]:
    """Create the roles that the account lacks, and return their names; ``iam`` is boto3's client."""
    created = []
    for service, name in NAMES.items():
        try:
            iam.get_role(RoleName=name)
        except iam.exceptions.NoSuchEntityException:
            iam.create_service_linked_role(AWSServiceName=service)
            created.append(name)
    return created
