"""What may pass an endpoint: requests of this account's own identities, and to S3 only reads where buckets are others'.

An endpoint without a policy lets everything through, so whoever takes over a pod could carry data into a bucket of
another account, with credentials of that account, and no network policy would see a difference. These policies grant
nothing: what passes still needs its own rights (AWS PrivateLink Guide, "Control access to VPC endpoints using endpoint
policies").
"""

from __future__ import annotations

import json
from typing import Any, Final

STS: Final = "sts"
Document = dict[str, Any]


def _own(account_id: str) -> Document:
    return {
        "Sid": "OwnIdentities",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": account_id}},
    }


def of_interface(service: str, account_id: str) -> str:
    """Return the policy of an interface endpoint."""
    statements = [_own(account_id)]
    if service == STS:
        # A pod that takes its role has no identity yet: its token is in the request.
        statements.append(
            {
                "Sid": "RolesOfPods",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Resource": f"arn:aws:iam::{account_id}:role/*",
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def of_buckets(account_id: str) -> str:
    """Return the policy of the gateway to S3.

    Registries keep their layers in buckets of their own and hand out signed addresses or open objects: ECR
    (`prod-REGION-starport-layer-bucket`), and registry.k8s.io for clients within AWS (kubernetes/registry.k8s.io).
    """
    statements = [
        {
            "Sid": "OwnBuckets",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceAccount": account_id, "aws:PrincipalAccount": account_id}},
        },
        {"Sid": "LayersOfImages", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
