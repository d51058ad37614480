"""Repositories of the project's own images: tags are immutable, each image is scanned, and old ones are deleted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import ecr

from infra.aws.scope import Scope
from infra.kit.options import child, stateful
from infra.naming import PROJECT
from infra.versions import OWN

UNTAGGED_DAYS: Final = 7


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
                image_tag_mutability="IMMUTABLE",
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
                policy=json.dumps(lifecycle(args.scope.settings.registry.keep_images)),
                opts=child(self),
            )
        self.register_outputs({})


def address(account_id: str, region: str) -> str:
    """Return the part of a reference before the name of the image."""
    return f"{account_id}.dkr.ecr.{region}.amazonaws.com/{PROJECT}"


def lifecycle(keep: int) -> dict[str, Any]:
    """Return the rules that keep the newest images, and images without a tag for a week."""
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": UNTAGGED_DAYS,
    }
    newest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    return {
        "rules": [
            {"rulePriority": priority, "description": description, "selection": selection, "action": {"type": "expire"}}
            for priority, description, selection in (
                (1, "untagged", untagged),
                (2, f"all but the newest {keep}", newest),
            )
        ]
    }
