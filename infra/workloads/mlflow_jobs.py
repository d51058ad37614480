"""MLflow's work on its database: the migration before each new server, and the removal of what was deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, Job
from pulumi_kubernetes.core.v1 import (
    AffinityArgs,
    PodAffinityArgs,
    PodAffinityTermArgs,
    PodTemplateSpecArgs,
    VolumeMountArgs,
    WeightedPodAffinityTermArgs,
)

from infra import secret_files
from infra.config import Resources
from infra.connections import POOLS
from infra.kit import jobs, pod
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child
from infra.naming import MLFLOW, MLFLOW_GC, MLFLOW_MIGRATE, Workload
from infra.parts.context import Context
from infra.parts.identity import service_account

SECRETS: Final = "/run/secrets/churn"
DATABASE_URI: Final = "postgresql+psycopg2://?service=churn"
"""All of the login is in libpq's service file, which is read anew for every connection."""
MIGRATE_SECONDS: Final = 1800
"""Of a large database; the first run takes seconds."""
BACKUPS: Final = "/backups"
GC_SCHEDULE: Final = "0 6 * * 0"
"""Clear of the backups, 02:00 to 04:30: what is deleted meanwhile would be missing in a copy of the other half."""
GC_SECONDS: Final = 3 * 3600
GC_AGE: Final = "30d"
"""How long a deleted run can still be restored."""
SIZE: Final = Resources(cpu_request="100m", cpu_limit="1", memory_request="512Mi", memory_limit="1Gi")
USERS: Final = {
    "--admin": secret_files.MLFLOW_ADMIN,
    "--writer": secret_files.MLFLOW_TRAINING,
    "--reader": secret_files.MLFLOW_API,
}
"""MLflow's users by what the migration lets them do."""


@dataclass(frozen=True, kw_only=True)
class MlflowMigrationArgs:
    """The volume with the backups, and the one with the artifacts where there is no bucket for them."""

    context: Context
    backup_claim: pulumi.Input[str]
    artifacts_claim: pulumi.Input[str] | None


class MlflowMigration(pulumi.ComponentResource):
    """A Job that Pulumi waits for. Its name changes with its content, so a new image or password runs it again."""

    def __init__(self, name: str, args: MlflowMigrationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:MlflowMigration", name, {}, opts)
        account = service_account(self, name, MLFLOW_MIGRATE, args.context.cloud.roles)
        template = self._template(name, args)
        Job(
            f"{name}-job",
            metadata=unnamed(MLFLOW_MIGRATE, annotations={"pulumi.com/timeoutSeconds": str(MIGRATE_SECONDS + 60)}),
            spec=jobs.job_spec(
                template,
                deadline_seconds=MIGRATE_SECONDS,
                retries=2,
                keep_seconds=None,
                on_failure=jobs.failure_policy(MLFLOW_MIGRATE.name),
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})

    def _template(self, name: str, args: MlflowMigrationArgs) -> PodTemplateSpecArgs:
        secrets = (secret_files.POSTGRES_MLFLOW, *USERS.values())
        users = [part for option, user in USERS.items() for part in (option, login_dir(user))]
        container = pod.container(
            MLFLOW_MIGRATE,
            image=args.context.images.reference("mlflow"),
            resources=pod.resources(SIZE),
            probes=pod.NO_PROBES,
            command=["python", "-m", "ops.jobs.migrate"],
            args=["--database", DATABASE_URI, *users, "--backups", BACKUPS],
            env=database_env(MLFLOW_MIGRATE),
            mounts=[*secret_mounts(*secrets), pod.mount("backups", BACKUPS), pod.tmp_mount()],
        )
        volumes = [
            *(args.context.secret(self, name, MLFLOW_MIGRATE, secret) for secret in secrets),
            pod.claim_volume("backups", args.backup_claim, read_only=True),
            pod.empty_dir("tmp", size="256Mi"),
        ]
        if args.artifacts_claim is not None:
            # Not mounted, only named: where a volume belongs to a node, the first pod that names both puts them on the
            # same node, and the backup of the artifacts needs them there.
            volumes.append(pod.claim_volume("artifacts", args.artifacts_claim, read_only=True))
        return pod.pod(
            MLFLOW_MIGRATE,
            containers=[container],
            volumes=volumes,
            restart_policy="Never",
            affinity=_near_mlflow() if args.artifacts_claim is not None else None,
        )


def _near_mlflow() -> AffinityArgs:
    """Where a server runs already, on its node, which has the artifacts' volume."""
    term = PodAffinityTermArgs(topology_key=pod.HOSTNAME, label_selector=selector(MLFLOW))
    preferred = WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=term)
    return AffinityArgs(pod_affinity=PodAffinityArgs(preferred_during_scheduling_ignored_during_execution=[preferred]))


@dataclass(frozen=True, kw_only=True)
class MlflowGcArgs:
    """The time zone of the backups."""

    context: Context
    time_zone: str


class MlflowGc(pulumi.ComponentResource):
    """A CronJob that removes for good what was deleted long enough ago, artifacts through the server."""

    def __init__(self, name: str, args: MlflowGcArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:MlflowGc", name, {}, opts)
        account = service_account(self, name, MLFLOW_GC, args.context.cloud.roles)
        secrets = (secret_files.POSTGRES_MLFLOW, secret_files.MLFLOW_ADMIN)
        volumes = [args.context.secret(self, name, MLFLOW_GC, secret) for secret in secrets]
        template = pod.pod(
            MLFLOW_GC,
            containers=[
                pod.container(
                    MLFLOW_GC,
                    image=args.context.images.reference("mlflow"),
                    resources=pod.resources(SIZE),
                    probes=pod.NO_PROBES,
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
                    env=database_env(MLFLOW_GC) | {"MLFLOW_LOGIN_DIR": login_dir(secret_files.MLFLOW_ADMIN)},
                    mounts=[*secret_mounts(*secrets), pod.tmp_mount()],
                )
            ],
            volumes=[*volumes, pod.empty_dir("tmp", size="256Mi")],
            restart_policy="Never",
        )
        CronJob(
            f"{name}-schedule",
            metadata=named(MLFLOW_GC),
            spec=jobs.cron_spec(
                template,
                schedule=GC_SCHEDULE,
                time_zone=args.time_zone,
                deadline_seconds=GC_SECONDS,
                retries=1,
                on_failure=jobs.failure_policy(MLFLOW_GC.name),
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})


def login_dir(secret: secret_files.SecretSpec) -> str:
    """Where a pod finds the files of a login."""
    return f"{SECRETS}/{secret.name}"


def secret_mounts(*secrets: secret_files.SecretSpec) -> list[VolumeMountArgs]:
    """The files of each secret in its own folder."""
    return [pod.mount(secret.name, login_dir(secret)) for secret in secrets]


def database_env(workload: Workload) -> dict[str, pulumi.Input[str]]:
    """How a process with MLflow finds its database and how many connections each of its pools may hold."""
    pool = POOLS[workload.name]
    return {
        "HOME": "/tmp",  # noqa: S108 - a path in the pod, on a volume of its own
        "PGSERVICEFILE": f"{login_dir(secret_files.POSTGRES_MLFLOW)}/{secret_files.PG_SERVICE}",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(pool.size),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(pool.overflow),
        "OMP_NUM_THREADS": "1",
    }
