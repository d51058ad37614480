"""Roles that services of AWS act with in an account: whoever uses the service for the first time needs them to exist.

AWS creates most of them when they are needed. These two it does not: KMS refuses a key's policy that names Auto
Scaling's role before it exists (terraform-aws-eks #1619, #3013), and a cluster's role may not create that of Spot
(karpenter-provider-aws, `website/content/en/docs/troubleshooting.md`, ServiceLinkedRoleCreationNotPermitted).
"""

from __future__ import annotations

from typing import Any, Final

SERVICES: Final = ("autoscaling.amazonaws.com", "spot.amazonaws.com")


def create(iam: Any) -> list[str]:
    """Create the roles that the account lacks, and return their services; ``iam`` is boto3's client."""
    missing = [
        service for service in SERVICES if not iam.list_roles(PathPrefix=f"/aws-service-role/{service}/")["Roles"]
    ]
    for service in missing:
        iam.create_service_linked_role(AWSServiceName=service)
    return missing
