"""Restores, which people start: a template for each part, as suspended CronJobs that never start by themselves.

`churn cluster restore databases` makes a job of one; docs/dr.md says what to stop before it. A dump has MLflow's users
and Grafana's administrator with the passwords of its time. So a restore of databases ends with the steps that
`restore-logins` consists of, which give every login the password of its secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, PodTemplateSpecArgs, VolumeMountArgs

from infra import secret_files
from infra.config import Resources
from infra.connections import CERTIFIED, LOGINS, login_options, trust
from infra.kit import jobs, pod
from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import MLFLOW_MIGRATE, RESTORE
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.secret_files import SecretSpec
from infra.workloads.backup import ARTIFACTS, CLAIM, FOLDER, WAIT_SECONDS
from infra.workloads.database_setup import NEVER
from infra.workloads.mlflow import destination
from infra.workloads.mlflow_jobs import DATABASE_URI, USERS, database_env, user_options

DEADLINE_SECONDS: Final = 4 * 3600
"""The promised recovery time."""
SCRATCH: Final = "/var/lib/restore"
DATA_SIZE: Final = Resources(cpu_request="250m", cpu_limit="2", memory_request="512Mi", memory_limit="2Gi")
LOGIN_SIZE: Final = Resources(cpu_request="100m", cpu_limit="1", memory_request="512Mi", memory_limit="1Gi")
SECRETS: Final = secret_files.READERS[RESTORE.name]


@dataclass(frozen=True, kw_only=True)
class RestoreArgs:
    """The claim with MLflow's artifacts unless they are in a bucket, room for downloads, the time zone of schedules."""

    context: Context
    artifacts_claim: pulumi.Input[str] | None
    scratch_gib: int
    time_zone: str


class Restore(pulumi.ComponentResource):
    """ServiceAccount and the three suspended CronJobs."""

    def __init__(self, name: str, args: RestoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Restore", name, {}, opts)
        account = service_account(self, name, RESTORE, args.context)
        secrets = {spec.name: args.context.secret(self, name, RESTORE, spec) for spec in SECRETS}
        steps = _logins(args, secrets)
        # A part of a restore that worked refuses to run again, so only the steps for logins are retried.
        for role, template, retries in (
            ("databases", _pod(args, [_databases(args, secrets), *steps], secrets.values()), 0),
            ("artifacts", _pod(args, [_artifacts(args)]), 0),
            ("logins", _pod(args, steps, secrets.values()), 4),
        ):
            CronJob(
                f"{name}-{role}",
                metadata=named(RESTORE, role=role),
                spec=jobs.cron_spec(
                    template,
                    jobs.Schedule(cron=NEVER, time_zone=args.time_zone, suspend=True),
                    deadline_seconds=DEADLINE_SECONDS,
                    retries=retries,
                    on_failure=jobs.failure_policy(RESTORE.name),
                ),
                opts=child(self, after=[account]),
            )
        self.register_outputs({})


def _databases(args: RestoreArgs, secrets: Mapping[str, MountedSecret]) -> ContainerArgs:
    where = args.context.cloud.database
    to = pulumi.Output.concat("host=", where.host, f" port={where.port} sslmode={where.ssl_mode}")
    superuser = secrets[secret_files.POSTGRES_SUPERUSER.name]
    mounts = [superuser.mount, *([secrets[CERTIFIED.name].mount] if where.cidrs else [])]
    options: list[pulumi.Input[str]] = ["--to", to, "--login", superuser.path, "--wait", str(WAIT_SECONDS)]
    return _data(args, "databases", options, mounts, trust(where, CERTIFIED))


def _artifacts(args: RestoreArgs) -> ContainerArgs:
    if args.artifacts_claim is None:
        return _data(args, RESTORE.name, ["--artifacts-to", destination(args.context.cloud.artifacts_bucket)])
    mounts = [pod.mount("artifacts", ARTIFACTS, read_only=False)]
    return _data(args, RESTORE.name, ["--artifacts-to", ARTIFACTS], mounts)


def _data(
    args: RestoreArgs,
    name: str,
    options: Sequence[pulumi.Input[str]],
    mounts: Sequence[VolumeMountArgs] = (),
    env: Mapping[str, str] | None = None,
) -> ContainerArgs:
    """Return the container that restores; it downloads to its scratch volume if the backups are in a bucket."""
    room = f"{args.scratch_gib + 1}Gi"
    return ContainerArgs(
        name=name,
        image=args.context.images.reference("ops"),
        command=["python", "-m", "ops.cli", "restore"],
        args=["--from", FOLDER, "--scratch", SCRATCH, *options],
        resources=pod.resources(DATA_SIZE, scratch=room, reserved=room),
        env=pod.environment({"HOME": pod.TMP, **(env or {})}),
        volume_mounts=[
            *mounts,
            pod.mount("backups", FOLDER),
            pod.mount("scratch", SCRATCH, read_only=False),
            pod.tmp_mount(),
        ],
    )


def _logins(args: RestoreArgs, secrets: Mapping[str, MountedSecret]) -> list[ContainerArgs]:
    """Return the steps that give every login of the databases the password of its secret, and upgrade older tables."""
    where = args.context.cloud.database
    server: list[pulumi.Input[str]] = ["--host", where.host, "--port", str(where.port), "--sslmode", where.ssl_mode]
    superuser, grafana = secret_files.POSTGRES_SUPERUSER, secret_files.GRAFANA_ADMIN

    def step(
        name: str,
        program: str,
        options: Sequence[pulumi.Input[str]],
        uses: Sequence[SecretSpec],
        env: Mapping[str, pulumi.Input[str]] | None = None,
    ) -> ContainerArgs:
        return ContainerArgs(
            name=name,
            image=args.context.images.reference("mlflow"),
            command=["python", "-m", f"ops.jobs.{program}"],
            args=options,
            resources=pod.resources(LOGIN_SIZE),
            env=pod.environment({"HOME": pod.TMP, **(env or {})}),
            volume_mounts=[*(secrets[spec.name].mount for spec in uses), pod.tmp_mount()],
        )

    administer = [*server, "--superuser", superuser.path, *login_options()]
    # The backup that was restored is the way back from an upgrade of its tables, so none more recent is asked for.
    migrate = ["--database", DATABASE_URI, *user_options(), "--without-backup"]
    of_mlflow = database_env(MLFLOW_MIGRATE, where)
    reset = [*server, "--database", LOGINS["grafana"].path, "--admin", grafana.path]
    return [
        step("roles", "database_setup", administer, [superuser, *LOGINS.values()], trust(where, CERTIFIED)),
        step("mlflow-users", "migrate", migrate, [LOGINS["mlflow"], *USERS.values()], of_mlflow),
        step(RESTORE.name, "grafana_admin", reset, [LOGINS["grafana"], grafana], trust(where, LOGINS["grafana"])),
    ]


def _pod(
    args: RestoreArgs, steps: Sequence[ContainerArgs], secrets: Iterable[MountedSecret] = ()
) -> PodTemplateSpecArgs:
    """Return a pod that takes the steps one after the other, with the volumes that they mount."""
    volumes = [
        *(secret.volume for secret in secrets),
        pod.empty_dir("tmp", size="512Mi"),
        pod.claim_volume("backups", CLAIM),
        pod.empty_dir("scratch", size=f"{args.scratch_gib}Gi"),
    ]
    if args.artifacts_claim is not None:
        volumes.append(pod.claim_volume("artifacts", args.artifacts_claim))
    mounts = [mount for step in steps for mount in cast("Sequence[VolumeMountArgs]", step.volume_mounts)]
    mounted = {mount.name for mount in mounts}
    *before, last = steps
    spec = PodSpecArgs(
        init_containers=before or None,
        containers=[last],
        volumes=[volume for volume in volumes if volume.name in mounted],
        restart_policy="Never",
    )
    return pod.harden(RESTORE, spec)
