"""Marks expired backups in the bucket, with a role that cannot write any: the backup's own role cannot mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs

from infra.config import Resources
from infra.kit import jobs, pod
from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import BACKUP_EXPIRY
from infra.parts.context import Context
from infra.parts.identity import service_account

SCHEDULE: Final = "0 7 * * *"
"""After the night's backups. It mounts no volume, so it may run beside anything."""
DEADLINE_SECONDS: Final = 3600
_RESOURCES: Final = Resources(cpu_request="50m", cpu_limit="500m", memory_request="128Mi", memory_limit="512Mi")


@dataclass(frozen=True, kw_only=True)
class BackupExpiryArgs:
    """The bucket with the backups, and the time zone of the schedule."""

    context: Context
    bucket: pulumi.Input[str]
    time_zone: str


class BackupExpiry(pulumi.ComponentResource):
    """ServiceAccount and CronJob."""

    def __init__(self, name: str, args: BackupExpiryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:BackupExpiry", name, {}, opts)
        account = service_account(self, name, BACKUP_EXPIRY, args.context)
        container = ContainerArgs(
            name=BACKUP_EXPIRY.name,
            image=args.context.images.reference("ops"),
            command=["python", "-m", "ops.cli", "backup", "expire"],
            args=["--from", pulumi.Output.concat("s3://", args.bucket)],
            resources=pod.resources(_RESOURCES),
            env=pod.environment({"HOME": pod.TMP}),
            volume_mounts=[pod.tmp_mount()],
        )
        spec = PodSpecArgs(containers=[container], volumes=[pod.empty_dir("tmp", size="64Mi")], restart_policy="Never")
        CronJob(
            f"{name}-schedule",
            metadata=named(BACKUP_EXPIRY),
            spec=jobs.cron_spec(
                pod.harden(BACKUP_EXPIRY, spec),
                jobs.Schedule(cron=SCHEDULE, time_zone=args.time_zone),
                deadline_seconds=DEADLINE_SECONDS,
                retries=1,
                on_failure=jobs.failure_policy(BACKUP_EXPIRY.name),
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})
