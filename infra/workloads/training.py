"""Training of each model: on a schedule, on demand, on drift, and once when a stack comes up without a version of it.

`kubectl create job --from=cronjob/training-on-demand NAME` trains now. That template is a suspended CronJob of its own
rather than the schedule itself, because somebody waits for such a run, and so its pod must not wait for a spot node.

The objects of a model other than `churn` have its name after `training`: `training-NAME`, `training-NAME-on-demand`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, CronJobSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    TolerationArgs,
    VolumeArgs,
)

from app.names import MODEL_NAME
from infra import secret_files
from infra.config import Resources, TrainingSettings
from infra.config_training import BUILT_IN, TrainedModel, contract_text
from infra.kit import jobs, pod
from infra.kit.meta import named, unnamed
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
CONTRACT_FOLDER: Final = "/etc/churn"
CONTRACT: Final = "contract.yaml"
"""The file in that folder of a pod, from a ConfigMap, whose name changes with the contract."""
LOGIN: Final = secret_files.MLFLOW_TRAINING.at("mlflow")


@dataclass(frozen=True, kw_only=True)
class TrainingArgs:
    """Schedule, data and size of the training."""

    settings: TrainingSettings
    time_zone: str
    context: Context


class Training(pulumi.ComponentResource):
    """ServiceAccount; for each model CronJobs for the schedule, for runs on demand and for drift, and a first run.

    All models are trained by one account with one login of MLflow.
    """

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Training", name, {}, opts)
        account = service_account(self, name, TRAINING, args.context)
        login = args.context.secret(self, name, TRAINING, LOGIN)
        for model, settings in args.settings.trained.items():
            # The name is the identity of what belongs to the model, as a file's name is that of the file.
            stem = name if model == MODEL_NAME else f"{name}-{model}"
            contract = self._contract(stem, settings.contract) if settings.contract != BUILT_IN else None
            self._model(stem, _Run(args=args, model=model, settings=settings, login=login, contract=contract), account)
        self.register_outputs({})

    def _contract(self, stem: str, path: str) -> VolumeArgs:
        data = {CONTRACT: contract_text(path)}
        config_map = ConfigMap(f"{stem}-contract", metadata=unnamed(TRAINING), data=data, opts=child(self))
        return pod.config_volume("contract", config_map.metadata.name)

    def _model(self, stem: str, run: _Run, account: pulumi.Resource) -> None:
        chosen, after = run.args.settings, [account]
        CronJob(
            f"{stem}-schedule",
            metadata=named(TRAINING, role=run.role()),
            spec=_schedule(run, _pod(run, spot=chosen.spot)),
            opts=child(self, after=after),
        )
        CronJob(
            f"{stem}-on-demand",
            metadata=named(TRAINING, role=run.role("on-demand")),
            spec=_schedule(run, _pod(run, spot=False), suspend=True),
            opts=child(self, after=after),
        )
        if chosen.retrain_on_drift:
            on_drift = ["--when-drifting", PROMETHEUS.url(), "--not-within-hours", str(QUIET_HOURS)]
            template = _pod(run, spot=False, extra=on_drift, asks=DRIFT_QUESTION)
            CronJob(
                f"{stem}-on-drift",
                metadata=named(TRAINING, role=run.role("on-drift")),
                spec=_schedule(run, template, schedule=DRIFT_SCHEDULE),
                opts=child(self, after=after),
            )
        if chosen.bootstrap:
            self._first(stem, run, account)

    def _first(self, stem: str, run: _Run, account: pulumi.Resource) -> None:
        """Train and promote a first version before the API has to serve; a model with one in production is left alone.

        It runs again when its image changes, and then finds a version.
        """
        spec = jobs.job_spec(
            # `pulumi up` waits for it, so it must not depend on a spot market that may be empty.
            _pod(run, spot=False, extra=["--first"]),
            deadline_seconds=FIRST_DEADLINE_SECONDS,
            retries=RETRIES,
            keep_seconds=None,
            on_failure=jobs.failure_policy(TRAINING.name),
        )
        awaited_job(self, f"{stem}-first", TRAINING, spec, seconds=FIRST_DEADLINE_SECONDS + 60, after=[account])


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What every run of one model has in common; without a contract, its customers are those of the Telco data."""

    args: TrainingArgs
    model: str
    settings: TrainedModel
    login: MountedSecret
    contract: VolumeArgs | None

    def role(self, role: str = "") -> str:
        """Return the role of an object, with the model's name before it."""
        return "-".join(filter(None, ["" if self.model == MODEL_NAME else self.model, role]))

    def options(self) -> list[pulumi.Input[str]]:
        """Return the options with which the program trains this model."""
        data: list[pulumi.Input[str]] = ["--rows", str(self.args.settings.rows)]
        if self.settings.source != GENERATED:
            data = ["--data", source(self.settings.source, self.args.context.cloud.data_bucket)]
        name = [] if self.model == MODEL_NAME else ["--model-name", self.model]
        contract = [] if self.contract is None else ["--contract", f"{CONTRACT_FOLDER}/{CONTRACT}"]
        return [*data, *name, *contract]


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
    run: _Run, template: PodTemplateSpecArgs, *, suspend: bool = False, schedule: str | None = None
) -> CronJobSpecArgs:
    return jobs.cron_spec(
        template,
        jobs.Schedule(cron=schedule or run.settings.schedule, time_zone=run.args.time_zone, suspend=suspend),
        deadline_seconds=DEADLINE_SECONDS,
        retries=RETRIES,
        on_failure=jobs.failure_policy(TRAINING.name),
    )


def _pod(
    run: _Run,
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
    node = run.args.context.cloud.spot if spot else None
    size = run.args.settings.resources.model_copy(update=dict(asks or {}))
    contract = [] if run.contract is None else [run.contract]
    spec = PodSpecArgs(
        containers=[_container(run, extra, size)],
        volumes=[run.login.volume, pod.empty_dir("tmp", size=SCRATCH), *contract],
        restart_policy="Never",
        node_selector=dict([node.label]) if node else None,
        tolerations=[TolerationArgs(key=node.taint[0], operator="Equal", value=node.taint[1], effect="NoSchedule")]
        if node
        else None,
    )
    return pod.harden(TRAINING, spec)


def _container(run: _Run, extra: Sequence[str], size: Resources) -> ContainerArgs:
    args, login = run.args, run.login
    contract = [] if run.contract is None else [pod.mount("contract", CONTRACT_FOLDER)]
    return ContainerArgs(
        name=TRAINING.name,
        image=args.context.images.reference("training"),
        command=["python", "-m", "ops.jobs.retrain"],
        args=[*run.options(), *extra],
        resources=pod.resources(size, scratch="3Gi"),
        env=pod.environment(
            {
                "MLFLOW_TRACKING_URI": MLFLOW.url(),
                "MLFLOW_CREDENTIALS_DIR": login.path,
                # Waits for a server that restarts, for about two minutes.
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "6",
                "PUSHGATEWAY_URL": PUSHGATEWAY.url(),
                "CHURN_ACTOR": TRAINING.name,
                "OMP_NUM_THREADS": str(threads(args.settings.resources.cpu_limit)),
                # The libraries' caches go where the pod may write.
                "HOME": pod.TMP,
                "MPLCONFIGDIR": f"{pod.TMP}/matplotlib",
            }
        ),
        volume_mounts=[login.mount, pod.tmp_mount(), *contract],
    )
