"""Repositories of the project's own images: tags of commits are immutable, and each image is scanned."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
from pulumi_aws import ecr

from infra.aws.image_retention import DEPLOYED_TAGS, lifecycle
from infra.aws.scope import Scope
from infra.kit.options import child, stateful
from infra.naming import PROJECT
from infra.versions import OWN


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """The stack, and the key for its data."""

    scope: Scope
    key: pulumi.Input[str]


class Registry(pulumi.ComponentResource):
    """One repository for each image."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Registry", name, {}, opts)
        for image in OWN:
            repository = ecr.Repository(
                f"{name}-{image}",
                name=f"{PROJECT}/{image}",
                # Only the tag that shows what a stack runs may move.
                image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
                image_tag_mutability_exclusion_filters=[
                    ecr.RepositoryImageTagMutabilityExclusionFilterArgs(
                        filter=f"{DEPLOYED_TAGS}*", filter_type="WILDCARD"
                    )
                ],
                image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
                encryption_configurations=[
                    ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key)
                ],
                force_delete=False,
                opts=stateful(self, args.scope.settings.state),
            )
            ecr.LifecyclePolicy(
                f"{name}-{image}-lifecycle",
                repository=repository.name,
                policy=json.dumps(lifecycle(args.scope.settings.registry.keep_commits)),
                opts=child(self),
            )
        self.register_outputs({})


def address(account_id: str, region: str) -> str:
    """Return the part of a reference before the name of the image."""
    return f"{account_id}.dkr.ecr.{region}.amazonaws.com/{PROJECT}"
