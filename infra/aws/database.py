"""PostgreSQL on RDS for MLflow and Grafana: encrypted, never public, TLS only, and backed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ec2, iam, rds, vpc
from pulumi_random import RandomString

from infra.aws.log_group import log_group
from infra.aws.scope import Scope, named
from infra.connections import RDS_MAX_CONNECTIONS
from infra.kit.iam import document, service_trust
from infra.kit.options import child, stateful

MAJOR: Final = "15"
"""The same version as in the pod of a local stack, and as the programs that make dumps."""
PORT: Final = 5432
USER: Final = "churn_admin"
MONITORING_SECONDS: Final = 60
INSIGHT_DAYS: Final = 7
"""The longest retention without a charge."""
LOGS: Final = ("postgresql", "upgrade")
MONITORING_POLICY: Final = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
PARAMETERS: Final = {
    "rds.force_ssl": "1",
    "max_connections": str(RDS_MAX_CONNECTIONS),
    "password_encryption": "scram-sha-256",
    "idle_in_transaction_session_timeout": "600000",
    "log_min_duration_statement": "1000",
    "log_lock_waits": "1",
    # Parameter values may contain anything, including hashes of passwords.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
STATIC: Final = ("max_connections",)
"""Parameters that take effect only after a restart."""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """The network, the clients that may connect, and the keys."""

    scope: Scope
    vpc_id: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    clients: pulumi.Input[str]
    """Security group of the clients that may connect."""
    data_key: pulumi.Input[str]
    secret_key: pulumi.Input[str]
    log_key: pulumi.Input[str]


class Database(pulumi.ComponentResource):
    """Subnet group, parameters, security group, log groups and the instance."""

    arn: pulumi.Output[str]
    host: pulumi.Output[str]
    master_secret: pulumi.Output[str]
    """ARN of the secret that RDS itself creates and rotates."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Database", name, {}, opts)
        scope = args.scope
        subnets = rds.SubnetGroup(
            f"{name}-subnets", subnet_ids=list(args.subnets), tags=named(scope.prefix, "database"), opts=child(self)
        )
        parameters = rds.ParameterGroup(
            f"{name}-parameters",
            family=f"postgres{MAJOR}",
            parameters=[
                rds.ParameterGroupParameterArgs(
                    name=key, value=value, apply_method="pending-reboot" if key in STATIC else "immediate"
                )
                for key, value in PARAMETERS.items()
            ],
            opts=child(self),
        )
        instance = self._instance(name, args, subnets, parameters)
        self.arn, self.host = instance.arn, instance.address
        self.master_secret = instance.master_user_secrets.apply(lambda secrets: secrets[0].secret_arn or "")
        self.register_outputs({"host": self.host})

    def _group(self, name: str, args: DatabaseArgs) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            f"{name}-group",
            vpc_id=args.vpc_id,
            description="PostgreSQL from the cluster's nodes and pods, and nothing out",
            tags=named(args.scope.prefix, "database"),
            opts=child(self),
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-clients",
            security_group_id=group.id,
            description="From the cluster",
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            referenced_security_group_id=args.clients,
            opts=child(self),
        )
        return group

    def _monitoring(self, name: str) -> iam.Role:
        role = iam.Role(
            f"{name}-monitoring",
            assume_role_policy=document(service_trust("monitoring.rds.amazonaws.com")),
            opts=child(self),
        )
        iam.RolePolicyAttachment(
            f"{name}-monitoring-policy", role=role.name, policy_arn=MONITORING_POLICY, opts=child(self)
        )
        return role

    def _instance(
        self, name: str, args: DatabaseArgs, subnets: rds.SubnetGroup, parameters: rds.ParameterGroup
    ) -> rds.Instance:
        scope = args.scope
        settings, protect = scope.settings.rds, scope.settings.state.protect
        days = settings.log_days
        groups: list[pulumi.Resource] = [
            log_group(
                self, f"{name}-log-{log}", path=f"/aws/rds/instance/{scope.prefix}/{log}", days=days, key=args.log_key
            )
            for log in LOGS
        ]
        # RDS refuses to delete an instance whose final snapshot has the name of an earlier one.
        final = RandomString(f"{name}-final", length=8, special=False, upper=False, opts=child(self))
        return rds.Instance(
            f"{name}-instance",
            identifier=scope.prefix,
            engine="postgres",
            engine_version=MAJOR,
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=False,
            instance_class=settings.instance_class,
            storage_type="gp3",
            allocated_storage=settings.storage_gib,
            max_allocated_storage=settings.max_storage_gib,
            storage_encrypted=True,
            kms_key_id=args.data_key,
            multi_az=settings.multi_az,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[self._group(name, args).id],
            publicly_accessible=False,
            parameter_group_name=parameters.name,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            username=USER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.secret_key,
            iam_database_authentication_enabled=True,
            # Outside the windows of our own backups, 02:00 to 04:30.
            backup_window="00:00-01:00",
            maintenance_window="sun:07:00-sun:08:00",
            backup_retention_period=settings.backup_days,
            delete_automated_backups=not protect,
            copy_tags_to_snapshot=True,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.data_key,
            performance_insights_retention_period=INSIGHT_DAYS,
            monitoring_interval=MONITORING_SECONDS,
            monitoring_role_arn=self._monitoring(name).arn,
            enabled_cloudwatch_logs_exports=list(LOGS),
            deletion_protection=protect,
            skip_final_snapshot=not protect,
            final_snapshot_identifier=final.result.apply(f"{scope.prefix}-final-{{}}".format) if protect else None,
            apply_immediately=False,
            tags=named(scope.prefix, "postgres"),
            opts=stateful(self, scope.settings.state, after=groups),
        )
