"""Training: by the clock, on demand, on drift, and once when a stack comes up without a model.

`kubectl create job --from=cronjob/training-on-demand NAME` trains now. That template is a suspended CronJob of its own,
and not the schedule itself, because somebody waits for such a run: its pod does not wait for a spot node.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, CronJobSpecArgs, Job
from pulumi_kubernetes.core.v1 import ContainerArgs, PodTemplateSpecArgs, TolerationArgs, VolumeArgs

from infra import secret_files
from infra.config import TrainingSettings
from infra.kit import jobs, pod
from infra.kit.meta import named, unnamed
from infra.kit.options import child
from infra.naming import MLFLOW, PROMETHEUS, PUSHGATEWAY, TRAINING
from infra.parts.context import Context
from infra.parts.identity import service_account

GENERATED: Final = "generated"
"""The source that is no file: customers are made up with a known truth."""
DEADLINE_SECONDS: Final = 2 * 3600
FIRST_DEADLINE_SECONDS: Final = 1800
"""`pulumi up` waits for the first training, so it is given less."""
RETRIES: Final = 3
"""More than a minute of waits between them: time for a registry that restarts."""
DRIFT_SCHEDULE: Final = "20 * * * *"
"""When to ask whether there is drift: it is measured over an hour."""
QUIET_HOURS: Final = 24
"""Drift starts no second run within this time: the first one needs people to look at it, or has mended nothing."""
SCRATCH: Final = "2Gi"
DATA_BUCKET: Final = "{data}"
LOGIN: Final = "/run/secrets/churn/mlflow"


@dataclass(frozen=True, kw_only=True)
class TrainingArgs:
    """When, on what and where to train."""

    settings: TrainingSettings
    time_zone: str
    context: Context


class Training(pulumi.ComponentResource):
    """ServiceAccount, the CronJob of the clock and that of drift, a suspended one to start runs from, the first run."""

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Training", name, {}, opts)
        account = service_account(self, name, TRAINING, args.context.cloud.roles)
        login = args.context.secret(self, name, TRAINING, secret_files.MLFLOW_TRAINING)
        CronJob(
            f"{name}-schedule",
            metadata=named(TRAINING),
            spec=_schedule(args, _pod(args, login, spot=args.settings.spot)),
            opts=child(self, after=[account]),
        )
        CronJob(
            f"{name}-on-demand",
            metadata=named(TRAINING, role="on-demand"),
            spec=_schedule(args, _pod(args, login, spot=False), suspend=True),
            opts=child(self, after=[account]),
        )
        if args.settings.retrain_on_drift:
            on_drift = ["--when-drifting", PROMETHEUS.url(), "--not-within-hours", str(QUIET_HOURS)]
            CronJob(
                f"{name}-on-drift",
                metadata=named(TRAINING, role="on-drift"),
                spec=_schedule(args, _pod(args, login, spot=False, extra=on_drift), schedule=DRIFT_SCHEDULE),
                opts=child(self, after=[account]),
            )
        if args.settings.bootstrap:
            self._first(name, args, login, account)
        self.register_outputs({})

    def _first(self, name: str, args: TrainingArgs, login: VolumeArgs, account: pulumi.Resource) -> None:
        """Train and promote before the API is asked for predictions; nothing happens where a version is in production.

        Pulumi names it and waits for its end. It runs again when its image changes, and then finds a version.
        """
        timeout = {"pulumi.com/timeoutSeconds": str(FIRST_DEADLINE_SECONDS)}
        Job(
            f"{name}-first",
            metadata=unnamed(TRAINING, annotations=timeout),
            spec=jobs.job_spec(
                # The stack waits for it, so it is not left to a spot market that may be empty.
                _pod(args, login, spot=False, extra=["--first"]),
                deadline_seconds=FIRST_DEADLINE_SECONDS,
                retries=RETRIES,
                keep_seconds=None,
                on_failure=jobs.failure_policy(TRAINING.name),
            ),
            opts=child(self, after=[account]),
        )


def source(given: str, bucket: pulumi.Input[str] | None) -> pulumi.Input[str]:
    """Where the customers are; `{data}` in it is the stack's own bucket for them, the one its role may read."""
    if bucket is None or DATA_BUCKET not in given:
        return given
    made: pulumi.Output[str] = pulumi.Output.from_input(bucket).apply(lambda name: given.replace(DATA_BUCKET, name))
    return made


def threads(cpu_limit: str) -> int:
    """Numerical threads for a CPU limit such as ``4`` or ``1500m``: its whole CPUs, at least 1.

    A thread more would be throttled with all others waiting for it, a hundredfold slower.
    """
    milli = re.fullmatch(r"(\d+)m", cpu_limit)
    cpus = Decimal(milli[1]) / 1000 if milli else Decimal(cpu_limit)
    return max(1, int(cpus))


def _schedule(
    args: TrainingArgs, template: PodTemplateSpecArgs, *, suspend: bool = False, schedule: str | None = None
) -> CronJobSpecArgs:
    return jobs.cron_spec(
        template,
        schedule=schedule or args.settings.schedule,
        time_zone=args.time_zone,
        deadline_seconds=DEADLINE_SECONDS,
        retries=RETRIES,
        suspend=suspend,
        on_failure=jobs.failure_policy(TRAINING.name),
    )


def _pod(args: TrainingArgs, login: VolumeArgs, *, spot: bool, extra: Sequence[str] = ()) -> PodTemplateSpecArgs:
    """Where there are spot nodes they are required, not preferred.

    Their pool is empty in between, and only a pod that fits nowhere else gets a node made; one that merely prefers spot
    would be put beside the API wherever that leaves room. When no spot node can be had the run waits until its
    deadline and fails, and the model in production stays.
    """
    found = args.context.cloud.spot if spot else None
    tolerations = (
        [TolerationArgs(key=found.taint[0], operator="Equal", value=found.taint[1], effect="NoSchedule")]
        if found
        else []
    )
    return pod.pod(
        TRAINING,
        containers=[_container(args, extra)],
        volumes=[login, pod.empty_dir("tmp", size=SCRATCH)],
        restart_policy="Never",
        node_selector=dict([found.label]) if found else None,
        tolerations=tolerations,
    )


def _container(args: TrainingArgs, extra: Sequence[str]) -> ContainerArgs:
    settings = args.settings
    data: list[pulumi.Input[str]] = ["--rows", str(settings.rows)]
    if settings.source != GENERATED:
        data = ["--data", source(settings.source, args.context.cloud.data_bucket)]
    return pod.container(
        TRAINING,
        image=args.context.images.reference("training"),
        command=["python", "-m", "ops.jobs.retrain"],
        args=[*data, *extra],
        resources=pod.resources(settings.resources, scratch="3Gi"),
        probes=pod.NO_PROBES,
        env={
            "MLFLOW_TRACKING_URI": MLFLOW.url(),
            "MLFLOW_CREDENTIALS_DIR": LOGIN,
            # A server that restarts is waited for: attempt after attempt, for about two minutes.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "6",
            "PUSHGATEWAY_URL": PUSHGATEWAY.url(),
            "CHURN_ACTOR": TRAINING.name,
            "OMP_NUM_THREADS": str(threads(settings.resources.cpu_limit)),
            # Caches of the libraries go where the pod may write.
            "HOME": "/tmp",  # noqa: S108 - a path in the pod, on a volume of its own
            "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108 - likewise
        },
        mounts=[
            pod.mount(secret_files.MLFLOW_TRAINING.name, LOGIN),
            pod.tmp_mount(),
        ],
    )
