"""Jobs on MLflow's database: the migration before each new server, and the garbage collection of deleted runs."""

from __future__ import annotations

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
    WeightedPodAffinityTermArgs,
)

from app.names import MODEL_NAME
from infra import secret_files
from infra.cloud import Database
from infra.config import Resources
from infra.connections import POOLS, trust
from infra.kit import jobs, pod
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import MLFLOW, MLFLOW_GC, MLFLOW_MIGRATE, Workload
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.job import awaited_job

DATABASE_URI: Final = f"postgresql+psycopg2://?service={secret_files.PG_SERVICE_NAME}"
"""The whole login is in libpq's service file, which is read for every new connection."""
MIGRATE_SECONDS: Final = 1800
"""Enough for a large database; the first run takes seconds."""
BACKUPS: Final = "/backups"
GC_SCHEDULE: Final = "0 6 * * 0"
"""Outside the backups' windows, 02:00 to 04:30: artifacts deleted meanwhile would be missing from a backup whose dump
still names them."""
GC_SECONDS: Final = 3 * 3600
GC_AGE: Final = "30d"
"""How long a deleted run can still be restored."""
SIZE: Final = Resources(cpu_request="100m", cpu_limit="1", memory_request="512Mi", memory_limit="1Gi")
USERS: Final = {
    "--admin": secret_files.MLFLOW_ADMIN,
    "--writer": secret_files.MLFLOW_TRAINING,
    "--reader": secret_files.MLFLOW_API,
}
"""MLflow's users, by the option of the migration that grants their rights."""


def user_options() -> list[str]:
    """Return the options with which the migration learns MLflow's users: the folders of their secrets."""
    return [part for option, user in USERS.items() for part in (option, user.path)]


def model_options(models: tuple[str, ...]) -> list[str]:
    """Return the options with which the migration learns the registered models; it knows `churn` without any."""
    return [] if models == (MODEL_NAME,) else [part for model in models for part in ("--model", model)]


@dataclass(frozen=True, kw_only=True)
class MlflowMigrationArgs:
    """The claim with the backups, the one with the artifacts unless they are in a bucket, and the registered models.

    Backups are looked for in their bucket where there is one. Their volume is mounted by one node at a time, so the
    migration would wait for a backup that runs on another; without a bucket, volumes are bound to a node anyway.
    """

    context: Context
    backup_claim: pulumi.Input[str]
    artifacts_claim: pulumi.Input[str] | None
    models: tuple[str, ...]


class MlflowMigration(pulumi.ComponentResource):
    """A Job that Pulumi waits for; a new image or password runs it again, and so does each `up` after it failed."""

    def __init__(self, name: str, args: MlflowMigrationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:MlflowMigration", name, {}, opts)
        account = service_account(self, name, MLFLOW_MIGRATE, args.context)
        spec = jobs.job_spec(
            self._template(name, args),
            deadline_seconds=MIGRATE_SECONDS,
            retries=2,
            keep_seconds=None,
            on_failure=jobs.failure_policy(MLFLOW_MIGRATE.name),
        )
        awaited_job(self, f"{name}-job", MLFLOW_MIGRATE, spec, seconds=MIGRATE_SECONDS + 60, after=[account])
        self.register_outputs({})

    def _template(self, name: str, args: MlflowMigrationArgs) -> PodTemplateSpecArgs:
        specs = (secret_files.POSTGRES_MLFLOW, *USERS.values())
        secrets = [args.context.secret(self, name, MLFLOW_MIGRATE, spec) for spec in specs]
        bucket = args.context.cloud.backups_bucket
        backups: pulumi.Input[str] = BACKUPS if bucket is None else pulumi.Output.concat("s3://", bucket)
        container = ContainerArgs(
            name=MLFLOW_MIGRATE.name,
            image=args.context.images.reference("mlflow"),
            resources=pod.resources(SIZE),
            command=["python", "-m", "ops.jobs.migrate"],
            args=["--database", DATABASE_URI, *user_options(), *model_options(args.models), "--backups", backups],
            env=pod.environment(database_env(MLFLOW_MIGRATE, args.context.cloud.database)),
            volume_mounts=[
                *(secret.mount for secret in secrets),
                *([pod.mount("backups", BACKUPS)] if bucket is None else []),
                pod.tmp_mount(),
            ],
        )
        volumes = [*(secret.volume for secret in secrets), pod.empty_dir("tmp", size="256Mi")]
        if bucket is None:
            volumes.append(pod.claim_volume("backups", args.backup_claim, read_only=True))
        if args.artifacts_claim is not None:
            # Named but not mounted: where a volume is bound to a node, the first pod that names both volumes puts them
            # on the same node, where the backup of the artifacts needs them.
            volumes.append(pod.claim_volume("artifacts", args.artifacts_claim, read_only=True))
        spec = PodSpecArgs(
            containers=[container],
            volumes=volumes,
            restart_policy="Never",
            affinity=_near_mlflow() if args.artifacts_claim is not None else None,
        )
        return pod.harden(MLFLOW_MIGRATE, spec)


def _near_mlflow() -> AffinityArgs:
    """Prefer the node of a server that runs already, which has the artifacts' volume."""
    term = PodAffinityTermArgs(topology_key=pod.HOSTNAME, label_selector=selector(MLFLOW))
    preferred = WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=term)
    return AffinityArgs(pod_affinity=PodAffinityArgs(preferred_during_scheduling_ignored_during_execution=[preferred]))


@dataclass(frozen=True, kw_only=True)
class MlflowGcArgs:
    """What the component needs to know about its stack, and the time zone of the schedule."""

    context: Context
    time_zone: str


class MlflowGc(pulumi.ComponentResource):
    """A CronJob that removes for good what was deleted long enough ago; artifacts are removed through the server."""

    def __init__(self, name: str, args: MlflowGcArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:MlflowGc", name, {}, opts)
        account = service_account(self, name, MLFLOW_GC, args.context)
        specs = (secret_files.POSTGRES_MLFLOW, secret_files.MLFLOW_ADMIN)
        secrets = [args.context.secret(self, name, MLFLOW_GC, spec) for spec in specs]
        container = ContainerArgs(
            name=MLFLOW_GC.name,
            image=args.context.images.reference("mlflow"),
            resources=pod.resources(SIZE),
            command=["python", "-m", "ops.jobs.tracking_pod"],
            args=[
                "gc",
                "--older-than",
                GC_AGE,
                "--backend-store-uri",
                DATABASE_URI,
                "--tracking-uri",
                MLFLOW.url(),
            ],
            env=pod.environment(
                database_env(MLFLOW_GC, args.context.cloud.database)
                | {"MLFLOW_LOGIN_DIR": secret_files.MLFLOW_ADMIN.path}
            ),
            volume_mounts=[*(secret.mount for secret in secrets), pod.tmp_mount()],
        )
        spec = PodSpecArgs(
            containers=[container],
            volumes=[*(secret.volume for secret in secrets), pod.empty_dir("tmp", size="256Mi")],
            restart_policy="Never",
        )
        CronJob(
            f"{name}-schedule",
            metadata=named(MLFLOW_GC),
            spec=jobs.cron_spec(
                pod.harden(MLFLOW_GC, spec),
                jobs.Schedule(cron=GC_SCHEDULE, time_zone=args.time_zone),
                deadline_seconds=GC_SECONDS,
                retries=1,
                on_failure=jobs.failure_policy(MLFLOW_GC.name),
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})


def database_env(workload: Workload, where: Database) -> dict[str, pulumi.Input[str]]:
    """Return how a process of MLflow finds its database, and how many connections each of its pools may hold."""
    pool = POOLS[workload.name]
    return {
        "HOME": pod.TMP,
        "PGSERVICEFILE": secret_files.POSTGRES_MLFLOW.file(secret_files.PG_SERVICE),
        **trust(where, secret_files.POSTGRES_MLFLOW),
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(pool.size),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(pool.overflow),
        "OMP_NUM_THREADS": "1",
    }
