"""The database's automated backups in a second region, from which it can be restored there to a point in time."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import rds

from infra.aws.keys import customer_key
from infra.aws.scope import Scope
from infra.kit.options import child


@dataclass(frozen=True, kw_only=True)
class DatabaseCopyArgs:
    """The stack, the second region, and the instance whose backups are copied, by its ARN."""

    scope: Scope
    region: str
    instance: pulumi.Input[str]


class DatabaseCopy(pulumi.ComponentResource):
    """A key in the second region, and the replication, which is a resource of that region (RDS user guide)."""

    def __init__(self, name: str, args: DatabaseCopyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:DatabaseCopy", name, {}, opts)
        scope = args.scope
        key = customer_key(self, f"{name}-key", scope, "Second copy of the database's backups", region=args.region)
        rds.InstanceAutomatedBackupsReplication(
            f"{name}-replication",
            region=args.region,
            source_db_instance_arn=args.instance,
            kms_key_id=key.arn,
            retention_period=scope.settings.rds.backup_days,
            opts=child(self),
        )
        self.register_outputs({})
