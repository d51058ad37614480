"""The repositories of the project's images: they belong to the account, since every stack pulls the same images.

They exist before any stack, so that a stack's first `pulumi up` finds its images, and no stack's destroy takes away
what another one runs.
"""

from __future__ import annotations

import json
from typing import Any, Final

from infra.aws.image_retention import DEPLOYED_TAGS, KEEP_COMMITS, lifecycle
from infra.aws.registry import address
from infra.naming import PROJECT
from infra.versions import OWN

ALIAS: Final = f"alias/{PROJECT}-images"


def create(session: Any, account: str, region: str) -> tuple[str, list[str]]:
    """Create what is missing and correct what has drifted; ``session`` is boto3's.

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
    return address(account, region), created


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
