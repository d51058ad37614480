"""The project's images in a second region, where ECR itself copies each image that is pushed."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import ecr

from infra.aws.scope import Scope
from infra.kit.options import child
from infra.naming import PROJECT


@dataclass(frozen=True, kw_only=True)
class RegistryCopyArgs:
    """The stack, and the second region."""

    scope: Scope
    region: str


class RegistryCopy(pulumi.ComponentResource):
    """The registry's replication, of which an account has one in each region.

    Only what is pushed afterwards is copied (ECR user guide, "Private image replication"), so images from before must
    be pushed again. Several stacks of an account may set it, if their second region is the same.
    """

    def __init__(self, name: str, args: RegistryCopyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:RegistryCopy", name, {}, opts)
        rule = ecr.ReplicationConfigurationReplicationConfigurationRuleArgs(
            destinations=[
                ecr.ReplicationConfigurationReplicationConfigurationRuleDestinationArgs(
                    region=args.region, registry_id=args.scope.account.id
                )
            ],
            repository_filters=[
                ecr.ReplicationConfigurationReplicationConfigurationRuleRepositoryFilterArgs(
                    filter=f"{PROJECT}/", filter_type="PREFIX_MATCH"
                )
            ],
        )
        ecr.ReplicationConfiguration(
            f"{name}-replication",
            replication_configuration=ecr.ReplicationConfigurationReplicationConfigurationArgs(rules=[rule]),
            opts=child(self),
        )
        self.register_outputs({})
