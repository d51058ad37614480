"""Backups: the databases at 02:00, the artifacts at 03:00, kept on a volume and, where there is one, in a bucket.

One node mounts the volume at a time, so no two jobs may: each has its window, from its schedule and its deadline, and
the windows are apart. The time zone should be one without summer time, or one night a year has no 02:00.
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
    PodTemplateSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    WeightedPodAffinityTermArgs,
)

from infra import secret_files
from infra.config import BackupSettings, Resources
from infra.kit import jobs, pod
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import BACKUP, MLFLOW, PUSHGATEWAY
from infra.parts.claim import claim
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.workloads.mlflow import destination

CLAIM: Final = "backup-data"
"""Name of the volume's claim, for those who read backups: the migration's check and the drill."""
FOLDER: Final = "/var/lib/backups"
ARTIFACTS: Final = "/var/lib/artifacts"
LOGIN: Final = "/run/secrets/churn/postgres"
SERVICE: Final = "churn"
"""The one service of the libpq service file."""
DATABASES: Final = ("mlflow", "grafana")
START_WITHIN_SECONDS: Final = 600
WAIT_SECONDS: Final = 60
"""A new pod is refused everything until its network policy is in force, which takes a second or more."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """When a backup starts, and how long it and its retries may take together."""

    schedule: str
    deadline_seconds: int


POSTGRES: Final = Window(schedule="0 2 * * *", deadline_seconds=45 * 60)
ARTIFACT_STORE: Final = Window(schedule="0 3 * * *", deadline_seconds=80 * 60)
_RESOURCES: Final = Resources(cpu_request="100m", cpu_limit="1", memory_request="256Mi", memory_limit="1Gi")


@dataclass(frozen=True, kw_only=True)
class BackupArgs:
    """How long to keep what; the claim with MLflow's artifacts where they are on a volume."""

    settings: BackupSettings
    context: Context
    artifacts_claim: pulumi.Input[str] | None


class Backup(pulumi.ComponentResource):
    """ServiceAccount, claim and the two CronJobs."""

    claim: pulumi.Output[str]

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Backup", name, {}, opts)
        account = service_account(self, name, BACKUP, args.context.cloud.roles)
        volume = claim(self, name, BACKUP, args.context, gib=args.settings.storage_gib)
        login = args.context.secret(self, name, BACKUP, secret_files.POSTGRES_BACKUP)
        for role, window, template in (
            ("postgres", POSTGRES, _postgres(args, login)),
            ("artifacts", ARTIFACT_STORE, _artifacts(args)),
        ):
            CronJob(
                f"{name}-{role}",
                metadata=named(BACKUP, role=role),
                spec=jobs.cron_spec(
                    template,
                    schedule=window.schedule,
                    time_zone=args.settings.time_zone,
                    deadline_seconds=window.deadline_seconds,
                    start_within_seconds=START_WITHIN_SECONDS,
                    on_failure=jobs.failure_policy(BACKUP.name),
                ),
                opts=child(self, after=[account, volume]),
            )
        self.claim = volume.metadata["name"]
        self.register_outputs({"claim": self.claim})


def _postgres(args: BackupArgs, login: VolumeArgs) -> PodTemplateSpecArgs:
    arguments = [
        "--service",
        SERVICE,
        "--wait",
        str(WAIT_SECONDS),
        *(part for name in DATABASES for part in ("--database", name)),
    ]
    env = {"PGSERVICEFILE": f"{LOGIN}/{secret_files.PG_SERVICE}"}
    container = _container(
        args, "postgres", arguments, env=env, mounts=[pod.mount(secret_files.POSTGRES_BACKUP.name, LOGIN)]
    )
    # On a volume both jobs have to meet on MLflow's node. This one only prefers it: a dump is never more wanted than
    # when MLflow is gone.
    affinity = None
    if args.artifacts_claim is not None:
        preferred = WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=_beside_mlflow())
        affinity = AffinityArgs(
            pod_affinity=PodAffinityArgs(preferred_during_scheduling_ignored_during_execution=[preferred])
        )
    return _pod(container, [login], affinity)


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
    """On the node that has the artifacts' volume mounted: a second node could not."""
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
    return pod.container(
        BACKUP,
        image=args.context.images.reference("ops"),
        command=["python", "-m", "ops.cli", "backup", what],
        args=[*arguments, *keep, *upload],
        resources=pod.resources(_RESOURCES),
        probes=pod.NO_PROBES,
        env={"PUSHGATEWAY_URL": PUSHGATEWAY.url(), "HOME": "/tmp", **(env or {})},  # noqa: S108 - the pod's own volume
        mounts=[
            *mounts,
            pod.mount("backups", FOLDER, read_only=False),
            pod.tmp_mount(),
        ],
    )


def _pod(
    container: ContainerArgs, volumes: Sequence[VolumeArgs] = (), affinity: AffinityArgs | None = None
) -> PodTemplateSpecArgs:
    return pod.pod(
        BACKUP,
        containers=[container],
        volumes=[*volumes, pod.claim_volume("backups", CLAIM), pod.empty_dir("tmp", size="512Mi")],
        restart_policy="Never",
        affinity=affinity,
    )
