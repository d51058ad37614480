"""What the first start of a PostgreSQL pod does by itself, for a database of AWS: logins, databases and their rights.

A Job that Pulumi waits for, run by our own program from inside of the network, where alone the database answers. Its
name changes with its content, so a new image runs it again; run by hand it brings in changed passwords:
`kubectl -n churn-mlops create job --from=cronjob/postgres-setup postgres-setup-now`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, Job
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs

from infra import secret_files
from infra.config import Resources
from infra.connections import LOGIN_LIMITS, LOGINS
from infra.kit import jobs, pod
from infra.kit.meta import named, unnamed
from infra.kit.options import child
from infra.naming import POSTGRES_SETUP
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.workloads.mlflow_jobs import login_dir, secret_mounts

SUPERUSER: Final = replace(secret_files.POSTGRES_SUPERUSER, files=("username", "password"))
"""As RDS writes it, which names the user too."""
DEADLINE_SECONDS: Final = 600
NEVER: Final = "0 0 1 1 *"
"""The schedule of what is suspended: it is there to be run by hand."""
SIZE: Final = Resources(cpu_request="50m", cpu_limit="500m", memory_request="128Mi", memory_limit="256Mi")


@dataclass(frozen=True, kw_only=True)
class DatabaseSetupArgs:
    """The stack around it, and the time zone of its other schedules."""

    context: Context
    time_zone: str


class DatabaseSetup(pulumi.ComponentResource):
    """ServiceAccount, the Job, and a suspended CronJob to run it again."""

    def __init__(self, name: str, args: DatabaseSetupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:DatabaseSetup", name, {}, opts)
        account = service_account(self, name, POSTGRES_SETUP, args.context.cloud.roles)
        template = self._template(name, args)
        on_failure = jobs.failure_policy(POSTGRES_SETUP.name)
        Job(
            f"{name}-job",
            metadata=unnamed(POSTGRES_SETUP, annotations={"pulumi.com/timeoutSeconds": str(DEADLINE_SECONDS + 60)}),
            spec=jobs.job_spec(
                template, deadline_seconds=DEADLINE_SECONDS, retries=4, keep_seconds=None, on_failure=on_failure
            ),
            opts=child(self, after=[account]),
        )
        CronJob(
            f"{name}-by-hand",
            metadata=named(POSTGRES_SETUP),
            spec=jobs.cron_spec(
                template,
                schedule=NEVER,
                time_zone=args.time_zone,
                deadline_seconds=DEADLINE_SECONDS,
                retries=1,
                suspend=True,
                on_failure=on_failure,
            ),
            opts=child(self, after=[account]),
        )
        self.register_outputs({})

    def _template(self, name: str, args: DatabaseSetupArgs) -> PodTemplateSpecArgs:
        where = args.context.cloud.database
        secrets = (SUPERUSER, *LOGINS.values())
        options: list[pulumi.Input[str]] = ["--host", where.host, "--port", str(where.port)]
        options += ["--superuser", login_dir(SUPERUSER)]
        for login, secret in LOGINS.items():
            options += ["--login", f"{login}:{LOGIN_LIMITS[login]}:{login_dir(secret)}"]
        container = pod.container(
            POSTGRES_SETUP,
            image=args.context.images.reference("mlflow"),
            resources=pod.resources(SIZE),
            probes=pod.NO_PROBES,
            command=["python", "-m", "ops.jobs.database_setup"],
            args=options,
            mounts=[*secret_mounts(*secrets), pod.tmp_mount()],
        )
        volumes = [
            *(args.context.secret(self, name, POSTGRES_SETUP, secret) for secret in secrets),
            pod.empty_dir("tmp", size="16Mi"),
        ]
        return pod.pod(POSTGRES_SETUP, containers=[container], volumes=volumes, restart_policy="Never")
