"""Backups: the databases at 02:00, the artifacts at 03:00, kept on a volume and, where there is one, in a bucket.

One node mounts the volume at a time, so no two jobs may overlap: each has a window, given by its schedule and its
deadline, and the windows are disjoint. Choose a time zone without summer time, or one night a year has no 02:00.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import (
    AffinityArgs,
    ContainerArgs,
    PodAffinityArgs,
    PodAffinityTermArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    WeightedPodAffinityTermArgs,
)

from infra import secret_files
from infra.config import BackupSettings, Resources
from infra.connections import trust
from infra.kit import jobs, pod
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import BACKUP, MLFLOW, PUSHGATEWAY
from infra.parts.claim import Disk, claim
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.workloads.mlflow import destination

CLAIM: Final = "backup-data"
"""Name of the volume's claim, for the other readers of backups: the migration's check, the drill and restores."""
FOLDER: Final = "/var/lib/backups"
ARTIFACTS: Final = "/var/lib/artifacts"
LOGIN: Final = secret_files.POSTGRES_BACKUP.at("postgres")
DATABASES: Final = ("mlflow", "grafana")
START_WITHIN_SECONDS: Final = 600
WAIT_SECONDS: Final = 60
"""How long to wait for the database: a new pod cannot connect until its network policy is in force."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """When a backup starts, and how long it may take, all retries included."""

    schedule: str
    deadline_seconds: int


POSTGRES: Final = Window(schedule="0 2 * * *", deadline_seconds=45 * 60)
ARTIFACT_STORE: Final = Window(schedule="0 3 * * *", deadline_seconds=80 * 60)
_RESOURCES: Final = Resources(cpu_request="100m", cpu_limit="1", memory_request="256Mi", memory_limit="1Gi")


@dataclass(frozen=True, kw_only=True)
class BackupArgs:
    """Retention and size; the claim with MLflow's artifacts where they are on a volume."""

    settings: BackupSettings
    context: Context
    artifacts_claim: pulumi.Input[str] | None


class Backup(pulumi.ComponentResource):
    """ServiceAccount, claim and the two CronJobs."""

    claim: pulumi.Output[str]

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Backup", name, {}, opts)
        account = service_account(self, name, BACKUP, args.context)
        volume = claim(self, name, BACKUP, Disk(context=args.context, gib=args.settings.storage_gib))
        login = args.context.secret(self, name, BACKUP, LOGIN)
        for role, window, template in (
            ("postgres", POSTGRES, _postgres(args, login)),
            ("artifacts", ARTIFACT_STORE, _artifacts(args)),
        ):
            CronJob(
                f"{name}-{role}",
                metadata=named(BACKUP, role=role),
                spec=jobs.cron_spec(
                    template,
                    jobs.Schedule(
                        cron=window.schedule,
                        time_zone=args.settings.time_zone,
                        start_within_seconds=START_WITHIN_SECONDS,
                    ),
                    deadline_seconds=window.deadline_seconds,
                    on_failure=jobs.failure_policy(BACKUP.name),
                ),
                opts=child(self, after=[account, volume]),
            )
        self.claim = volume.metadata["name"]
        self.register_outputs({"claim": self.claim})


def _postgres(args: BackupArgs, login: MountedSecret) -> PodTemplateSpecArgs:
    arguments = [
        "--service",
        secret_files.PG_SERVICE_NAME,
        "--wait",
        str(WAIT_SECONDS),
        *(part for name in DATABASES for part in ("--database", name)),
    ]
    env = {"PGSERVICEFILE": login.file(secret_files.PG_SERVICE), **trust(args.context.cloud.database, LOGIN)}
    container = _container(args, "postgres", arguments, env=env, mounts=[login.mount])
    # With artifacts on a volume, both jobs have to run on MLflow's node. This one only prefers it: when MLflow is gone,
    # a dump is needed more than ever.
    affinity = None
    if args.artifacts_claim is not None:
        preferred = WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=_beside_mlflow())
        affinity = AffinityArgs(
            pod_affinity=PodAffinityArgs(preferred_during_scheduling_ignored_during_execution=[preferred])
        )
    return _pod(container, [login.volume], affinity)


def _artifacts(args: BackupArgs) -> PodTemplateSpecArgs:
    if args.artifacts_claim is None:
        bucket = args.context.cloud.artifacts_bucket
        if bucket is None:
            raise ValueError("neither a claim nor a bucket holds the artifacts")
        return _pod(_container(args, "artifacts", ["--from", destination(bucket)]))
    container = _container(args, "artifacts", ["--from", ARTIFACTS], mounts=[pod.mount("artifacts", ARTIFACTS)])
    affinity = AffinityArgs(
        pod_affinity=PodAffinityArgs(required_during_scheduling_ignored_during_execution=[_beside_mlflow()])
    )
    return _pod(container, [pod.claim_volume("artifacts", args.artifacts_claim)], affinity)


def _beside_mlflow() -> PodAffinityTermArgs:
    """Select the node that has the artifacts' volume mounted; no other node can mount it meanwhile."""
    return PodAffinityTermArgs(topology_key=pod.HOSTNAME, label_selector=selector(MLFLOW))


def _container(
    args: BackupArgs,
    what: str,
    arguments: Sequence[pulumi.Input[str]],
    *,
    env: Mapping[str, str] | None = None,
    mounts: Sequence[VolumeMountArgs] = (),
) -> ContainerArgs:
    bucket = args.context.cloud.backups_bucket
    upload: list[pulumi.Input[str]] = [] if bucket is None else ["--upload", pulumi.Output.concat("s3://", bucket)]
    keep = ["--to", FOLDER, "--keep-days", str(args.settings.retention_days)]
    return ContainerArgs(
        name=BACKUP.name,
        image=args.context.images.reference("ops"),
        command=["python", "-m", "ops.cli", "backup", what],
        args=[*arguments, *keep, *upload],
        resources=pod.resources(_RESOURCES),
        env=pod.environment({"PUSHGATEWAY_URL": PUSHGATEWAY.url(), "HOME": pod.TMP, **(env or {})}),
        volume_mounts=[
            *mounts,
            pod.mount("backups", FOLDER, read_only=False),
            pod.tmp_mount(),
        ],
    )


def _pod(
    container: ContainerArgs, volumes: Sequence[VolumeArgs] = (), affinity: AffinityArgs | None = None
) -> PodTemplateSpecArgs:
    spec = PodSpecArgs(
        containers=[container],
        volumes=[*volumes, pod.claim_volume("backups", CLAIM), pod.empty_dir("tmp", size="512Mi")],
        restart_policy="Never",
        affinity=affinity,
    )
    return pod.harden(BACKUP, spec)
