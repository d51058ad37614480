"""Logins, databases and rights on RDS: what a PostgreSQL pod sets up by itself when it starts.

Pulumi waits for this Job, which runs our own program inside the network, the only place where the database can be
reached. Its name changes with its content, so a new image runs it again; start it by hand to apply changed passwords:
`kubectl -n churn-mlops create job --from=cronjob/postgres-setup postgres-setup-now`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, PodTemplateSpecArgs

from infra import secret_files
from infra.config import Resources
from infra.connections import CERTIFIED, LOGINS, login_options, trust
from infra.kit import jobs, pod
from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import POSTGRES_SETUP
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.job import awaited_job

SUPERUSER: Final = secret_files.POSTGRES_SUPERUSER
DEADLINE_SECONDS: Final = 600
NEVER: Final = "0 0 1 1 *"
"""The schedule of a suspended CronJob, which people start jobs from."""
SIZE: Final = Resources(cpu_request="50m", cpu_limit="500m", memory_request="128Mi", memory_limit="256Mi")


@dataclass(frozen=True, kw_only=True)
class DatabaseSetupArgs:
    """What the component needs to know about its stack, and the time zone of its other schedules."""

    context: Context
    time_zone: str


class DatabaseSetup(pulumi.ComponentResource):
    """ServiceAccount, the Job, and a suspended CronJob to run it again."""

    def __init__(self, name: str, args: DatabaseSetupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:DatabaseSetup", name, {}, opts)
        account = service_account(self, name, POSTGRES_SETUP, args.context)
        template = self._template(name, args)
        on_failure = jobs.failure_policy(POSTGRES_SETUP.name)
        spec = jobs.job_spec(
            template, deadline_seconds=DEADLINE_SECONDS, retries=4, keep_seconds=None, on_failure=on_failure
        )
        awaited_job(self, f"{name}-job", POSTGRES_SETUP, spec, seconds=DEADLINE_SECONDS + 60, after=[account])
        CronJob(
            f"{name}-by-hand",
            metadata=named(POSTGRES_SETUP),
            spec=jobs.cron_spec(
                template,
                jobs.Schedule(cron=NEVER, time_zone=args.time_zone, suspend=True),
                deadline_seconds=DEADLINE_SECONDS,
                retries=1,
                on_failure=on_failure,
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})

    def _template(self, name: str, args: DatabaseSetupArgs) -> PodTemplateSpecArgs:
        where = args.context.cloud.database
        secrets = [args.context.secret(self, name, POSTGRES_SETUP, spec) for spec in (SUPERUSER, *LOGINS.values())]
        options: list[pulumi.Input[str]] = [
            "--host",
            where.host,
            "--port",
            str(where.port),
            "--sslmode",
            where.ssl_mode,
        ]
        options += ["--superuser", SUPERUSER.path, *login_options()]
        container = ContainerArgs(
            name=POSTGRES_SETUP.name,
            image=args.context.images.reference("mlflow"),
            resources=pod.resources(SIZE),
            command=["python", "-m", "ops.jobs.database_setup"],
            args=options,
            env=pod.environment(trust(where, CERTIFIED)),
            volume_mounts=[*(secret.mount for secret in secrets), pod.tmp_mount()],
        )
        spec = PodSpecArgs(
            containers=[container],
            volumes=[*(secret.volume for secret in secrets), pod.empty_dir("tmp", size="16Mi")],
            restart_policy="Never",
        )
        return pod.harden(POSTGRES_SETUP, spec)
