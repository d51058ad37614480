"""The repositories of the project's images: they belong to the account, since every stack pulls the same images.

They exist before any stack, so that a stack's first `pulumi up` finds its images, and no stack's destroy takes away
what another one runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from infra.aws.image_retention import DEPLOYED_TAGS, KEEP_COMMITS, lifecycle
from infra.aws.registry import address
from infra.naming import PROJECT, deploy_role
from infra.versions import OWN

ALIAS: Final = f"alias/{PROJECT}-images"


def create(session: Any, account: str, region: str, pullers: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Create what is missing and correct what has drifted; ``session`` is boto3's.

    ``pullers`` are the accounts besides this one whose clusters run the images. Without any, a policy stays as it is.

    Returns:
        What precedes the images' names, and what was created.
    """
    ecr, created = session.client("ecr", region_name=region), []
    key, is_new = _key(session.client("kms", region_name=region))
    created += [f"key {ALIAS}"] if is_new else []
    for image in OWN:
        name = f"{PROJECT}/{image}"
        try:
            ecr.describe_repositories(repositoryNames=[name])
        except ecr.exceptions.RepositoryNotFoundException:
            encryption = {"encryptionType": "KMS", "kmsKey": key}
            ecr.create_repository(repositoryName=name, encryptionConfiguration=encryption)
            created.append(f"repository {name}")
        # A tag that could move would let another image run under the name of the one that was tested; only the tag that
        # shows what a stack runs may.
        ecr.put_image_tag_mutability(
            repositoryName=name,
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": f"{DEPLOYED_TAGS}*"}],
        )
        ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(lifecycle(KEEP_COMMITS)))
        if pullers:
            ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(policy(pullers)))
    return address(account, region), created


def policy(pullers: Sequence[str]) -> dict[str, Any]:
    """Return the policy by which other accounts pull, and their deployments mark what runs (`churn images keep`)."""
    accounts = [f"arn:aws:iam::{account}:root" for account in pullers]
    deployments = [f"arn:aws:iam::{account}:role/{deploy_role('*')}" for account in pullers]
    pull = {
        "Sid": "Pull",
        "Effect": "Allow",
        "Principal": {"AWS": accounts},
        "Action": [
            "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer",
        ],
    }  # fmt: skip
    # All tags but those for what runs are immutable, so this right replaces no image.
    mark = {
        "Sid": "Mark",
        "Effect": "Allow",
        "Principal": {"AWS": accounts},
        "Action": ["ecr:PutImage"],
        "Condition": {"ArnLike": {"aws:PrincipalArn": deployments}},
    }
    return {"Version": "2012-10-17", "Statement": [pull, mark]}


def _key(kms: Any) -> tuple[str, bool]:
    """Return the ARN of the images' key, and whether it is new."""
    pages = kms.get_paginator("list_aliases").paginate()
    known = {entry["AliasName"]: entry.get("TargetKeyId") for page in pages for entry in page["Aliases"]}
    key = known.get(ALIAS)
    if key is None:
        key = kms.create_key(Description="The project's images")["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=ALIAS, TargetKeyId=key)
    kms.enable_key_rotation(KeyId=key)
    return str(kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]), ALIAS not in known
