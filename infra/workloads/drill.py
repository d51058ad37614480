"""The quarterly drill: it restores the newest backup into a throwaway PostgreSQL and checks it."""

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
from infra.naming import DRILL, PUSHGATEWAY
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.workloads.backup import CLAIM, FOLDER

SCHEDULE: Final = "0 5 1 1,4,7,10 *"
"""After the backups' windows, since one node mounts the volume at a time."""
DEADLINE_SECONDS: Final = 4 * 3600
"""The promised recovery time; a drill that takes longer has failed."""
SCRATCH: Final = "/var/lib/drill"
REPORTS_FOLDER: Final = "drills"
"""On the backups' volume; `ops.backup.root.REPORTS` is the same name, and a test ties the two."""
REPORTS: Final = "/var/lib/drill-reports"
"""Where the drill can write that folder, and nothing else of the volume."""
_RESOURCES: Final = Resources(cpu_request="250m", cpu_limit="2", memory_request="512Mi", memory_limit="2Gi")


@dataclass(frozen=True, kw_only=True)
class DrillArgs:
    """Time zone of the schedule, and room on the node for a throwaway PostgreSQL and a copy of the artifacts."""

    time_zone: str
    scratch_gib: int
    context: Context


class Drill(pulumi.ComponentResource):
    """ServiceAccount and CronJob."""

    def __init__(self, name: str, args: DrillArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Drill", name, {}, opts)
        account = service_account(self, name, DRILL, args.context)
        spec = PodSpecArgs(
            containers=[_container(args)],
            volumes=[
                pod.claim_volume("backups", CLAIM),
                pod.empty_dir("scratch", size=f"{args.scratch_gib}Gi"),
                pod.empty_dir("tmp", size="512Mi"),
            ],
            restart_policy="Never",
        )
        CronJob(
            f"{name}-schedule",
            metadata=named(DRILL),
            spec=jobs.cron_spec(
                pod.harden(DRILL, spec),
                jobs.Schedule(cron=SCHEDULE, time_zone=args.time_zone),
                deadline_seconds=DEADLINE_SECONDS,
                retries=1,
                on_failure=jobs.failure_policy(DRILL.name),
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})


def _container(args: DrillArgs) -> ContainerArgs:
    bucket = args.context.cloud.backups_bucket
    room = f"{args.scratch_gib + 1}Gi"
    remote: list[pulumi.Input[str]] = [] if bucket is None else ["--remote", pulumi.Output.concat("s3://", bucket)]
    return ContainerArgs(
        name=DRILL.name,
        image=args.context.images.reference("ops"),
        command=["python", "-m", "ops.cli", "drill"],
        args=["--from", FOLDER, "--scratch", SCRATCH, "--reports", REPORTS, *remote],
        resources=pod.resources(_RESOURCES, scratch=room, reserved=room),
        env=pod.environment({"PUSHGATEWAY_URL": PUSHGATEWAY.url(), "HOME": pod.TMP}),
        volume_mounts=[
            pod.mount("backups", FOLDER),
            pod.mount("backups", REPORTS, read_only=False, folder=REPORTS_FOLDER),
            pod.mount("scratch", SCRATCH, read_only=False),
            pod.tmp_mount(),
        ],
    )
