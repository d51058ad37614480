"""Training: on a schedule, on demand, on drift, and once when a stack comes up without a model.

`kubectl create job --from=cronjob/training-on-demand NAME` trains now. That template is a suspended CronJob of its own
rather than the schedule itself, because somebody waits for such a run, and so its pod must not wait for a spot node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, CronJobSpecArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, PodTemplateSpecArgs, TolerationArgs

from infra import secret_files
from infra.config import Resources, TrainingSettings
from infra.kit import jobs, pod
from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import MLFLOW, PROMETHEUS, PUSHGATEWAY, TRAINING
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.parts.job import awaited_job

GENERATED: Final = "generated"
"""The source that is not a file: customers are generated, with known true probabilities."""
DEADLINE_SECONDS: Final = 2 * 3600
FIRST_DEADLINE_SECONDS: Final = 1800
"""Shorter than the others, since `pulumi up` waits for the first training."""
RETRIES: Final = 3
"""They are more than a minute apart altogether, enough for a registry to restart."""
DRIFT_SCHEDULE: Final = "20 * * * *"
"""When to check for drift, which is measured over an hour."""
DRIFT_QUESTION: Final = {"cpu_request": "50m", "memory_request": "256Mi"}
"""What the hourly question asks for, which ends in a second unless there is drift. Asking for what a training needs
would have a node started for it up to 24 times a day. If there is drift, which is once a day at most, the same process
trains with what its node has free, up to the limits of every training; a node under pressure evicts it first, and it is
tried again."""
QUIET_HOURS: Final = 24
"""Drift starts no second run within this time: if the first one did not help, people have to look into it."""
SCRATCH: Final = "2Gi"
DATA_BUCKET: Final = "{data}"
"""In the configured source: a placeholder for the stack's own bucket for training data."""
LOGIN: Final = secret_files.MLFLOW_TRAINING.at("mlflow")


@dataclass(frozen=True, kw_only=True)
class TrainingArgs:
    """Schedule, data and size of the training."""

    settings: TrainingSettings
    time_zone: str
    context: Context


class Training(pulumi.ComponentResource):
    """ServiceAccount, CronJobs for the schedule, for runs on demand and for drift, and the Job of the first run."""

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Training", name, {}, opts)
        account = service_account(self, name, TRAINING, args.context)
        login = args.context.secret(self, name, TRAINING, LOGIN)
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
                spec=_schedule(
                    args, _pod(args, login, spot=False, extra=on_drift, asks=DRIFT_QUESTION), schedule=DRIFT_SCHEDULE
                ),
                opts=child(self, after=[account]),
            )
        if args.settings.bootstrap:
            self._first(name, args, login, account)
        self.register_outputs({})

    def _first(self, name: str, args: TrainingArgs, login: MountedSecret, account: pulumi.Resource) -> None:
        """Train and promote a first version before the API has to serve; a stack with one in production is left alone.

        It runs again when its image changes, and then finds a version.
        """
        spec = jobs.job_spec(
            # `pulumi up` waits for it, so it must not depend on a spot market that may be empty.
            _pod(args, login, spot=False, extra=["--first"]),
            deadline_seconds=FIRST_DEADLINE_SECONDS,
            retries=RETRIES,
            keep_seconds=None,
            on_failure=jobs.failure_policy(TRAINING.name),
        )
        awaited_job(self, f"{name}-first", TRAINING, spec, seconds=FIRST_DEADLINE_SECONDS + 60, after=[account])


def source(configured: str, bucket: pulumi.Input[str] | None) -> pulumi.Input[str]:
    """Return where the customers are; `{data}` stands for the stack's own bucket for them."""
    if bucket is None or DATA_BUCKET not in configured:
        return configured
    address: pulumi.Output[str] = pulumi.Output.from_input(bucket).apply(
        lambda name: configured.replace(DATA_BUCKET, name)
    )
    return address


def threads(cpu_limit: str) -> int:
    """Return the number of numerical threads for a CPU limit such as ``4`` or ``1500m``: its whole CPUs, at least 1.

    One thread more would be throttled while all others wait for it, which is a hundred times slower.
    """
    milli = re.fullmatch(r"(\d+)m", cpu_limit)
    cpus = Decimal(milli[1]) / 1000 if milli else Decimal(cpu_limit)
    return max(1, int(cpus))


def _schedule(
    args: TrainingArgs, template: PodTemplateSpecArgs, *, suspend: bool = False, schedule: str | None = None
) -> CronJobSpecArgs:
    return jobs.cron_spec(
        template,
        jobs.Schedule(cron=schedule or args.settings.schedule, time_zone=args.time_zone, suspend=suspend),
        deadline_seconds=DEADLINE_SECONDS,
        retries=RETRIES,
        on_failure=jobs.failure_policy(TRAINING.name),
    )


def _pod(
    args: TrainingArgs,
    login: MountedSecret,
    *,
    spot: bool,
    extra: Sequence[str] = (),
    asks: Mapping[str, str] | None = None,
) -> PodTemplateSpecArgs:
    """Return the pod of a run; where there are spot nodes, it requires one if told to, instead of preferring one.

    The pool of spot nodes is empty between runs, and a node is made only for a pod that fits nowhere else; a pod that
    merely prefers spot would be placed beside the API wherever there is room. If no spot node is available, the run
    waits until its deadline and fails, and the model in production stays.
    """
    node = args.context.cloud.spot if spot else None
    spec = PodSpecArgs(
        containers=[_container(args, login, extra, args.settings.resources.model_copy(update=dict(asks or {})))],
        volumes=[login.volume, pod.empty_dir("tmp", size=SCRATCH)],
        restart_policy="Never",
        node_selector=dict([node.label]) if node else None,
        tolerations=[TolerationArgs(key=node.taint[0], operator="Equal", value=node.taint[1], effect="NoSchedule")]
        if node
        else None,
    )
    return pod.harden(TRAINING, spec)


def _container(args: TrainingArgs, login: MountedSecret, extra: Sequence[str], size: Resources) -> ContainerArgs:
    settings = args.settings
    data: list[pulumi.Input[str]] = ["--rows", str(settings.rows)]
    if settings.source != GENERATED:
        data = ["--data", source(settings.source, args.context.cloud.data_bucket)]
    return ContainerArgs(
        name=TRAINING.name,
        image=args.context.images.reference("training"),
        command=["python", "-m", "ops.jobs.retrain"],
        args=[*data, *extra],
        resources=pod.resources(size, scratch="3Gi"),
        env=pod.environment(
            {
                "MLFLOW_TRACKING_URI": MLFLOW.url(),
                "MLFLOW_CREDENTIALS_DIR": login.path,
                # Waits for a server that restarts, for about two minutes.
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "6",
                "PUSHGATEWAY_URL": PUSHGATEWAY.url(),
                "CHURN_ACTOR": TRAINING.name,
                "OMP_NUM_THREADS": str(threads(settings.resources.cpu_limit)),
                # The libraries' caches go where the pod may write.
                "HOME": pod.TMP,
                "MPLCONFIGDIR": f"{pod.TMP}/matplotlib",
            }
        ),
        volume_mounts=[login.mount, pod.tmp_mount()],
    )
