"""Jobs, run once or on a schedule, always with a deadline."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Final, cast

from pulumi_kubernetes.batch.v1 import (
    CronJobSpecArgs,
    JobSpecArgs,
    JobTemplateSpecArgs,
    PodFailurePolicyArgs,
    PodFailurePolicyOnExitCodesRequirementArgs,
    PodFailurePolicyOnPodConditionsPatternArgs,
    PodFailurePolicyRuleArgs,
)
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.kit.meta import Annotations

KEEP_SECONDS: Final = 7 * 24 * 3600
"""How long a finished job of a schedule is kept, and its log with it."""
BAD_INPUT: Final = 2
"""Exit code of our programs for a failure that only a person can fix."""
UNDISTURBED: Final = {"karpenter.sh/do-not-disrupt": "true"}
"""Annotation of a job's pods. Without it EKS Auto Mode, which runs Karpenter, evicts a running job to save a node, and
the next try starts from the beginning. The job's deadline bounds how long a node stays for it."""


def undisturbed(template: PodTemplateSpecArgs) -> PodTemplateSpecArgs:
    """Return the template of pods that are not evicted for the sake of a cheaper node."""
    copied, metadata = copy(template), copy(cast("ObjectMetaArgs", template.metadata))
    metadata.annotations = {**cast("Annotations", metadata.annotations or {}), **UNDISTURBED}
    copied.metadata = metadata
    return copied


def failure_policy(container: str) -> PodFailurePolicyArgs:
    """Return how a failed pod counts: an interruption not at all, and bad input ends the job at once.

    An interruption is a reclaimed spot node, a drain or an eviction; the deadline still bounds the job. Bad input would
    fail again however often it is retried.
    """
    return PodFailurePolicyArgs(
        rules=[
            PodFailurePolicyRuleArgs(
                action="Ignore",
                on_pod_conditions=[PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")],
            ),
            PodFailurePolicyRuleArgs(
                action="FailJob",
                on_exit_codes=PodFailurePolicyOnExitCodesRequirementArgs(
                    container_name=container, operator="In", values=[BAD_INPUT]
                ),
            ),
        ]
    )


def job_spec(
    template: PodTemplateSpecArgs,
    *,
    deadline_seconds: int,
    retries: int,
    keep_seconds: int | None,
    on_failure: PodFailurePolicyArgs | None = None,
) -> JobSpecArgs:
    """Return the spec of a job that runs at most ``1 + retries`` times, all of them within one deadline.

    ``keep_seconds=None`` keeps the finished job, as Pulumi needs for the jobs that it creates itself.
    """
    return JobSpecArgs(
        template=undisturbed(template),
        backoff_limit=retries,
        active_deadline_seconds=deadline_seconds,
        ttl_seconds_after_finished=keep_seconds,
        pod_failure_policy=on_failure,
    )


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a job starts, by the clock of a time zone.

    A start that is late by more than ``start_within_seconds`` is skipped. A suspended schedule never starts a job by
    itself; people start jobs from it.
    """

    cron: str
    time_zone: str
    start_within_seconds: int = 3600
    suspend: bool = False


def cron_spec(
    template: PodTemplateSpecArgs,
    schedule: Schedule,
    *,
    deadline_seconds: int,
    retries: int = 2,
    on_failure: PodFailurePolicyArgs | None = None,
) -> CronJobSpecArgs:
    """Return the spec of a scheduled job of which no two run at once.

    That makes the deadline matter twice: a job that hangs would block every later one.
    """
    return CronJobSpecArgs(
        schedule=schedule.cron,
        time_zone=schedule.time_zone,
        concurrency_policy="Forbid",
        starting_deadline_seconds=schedule.start_within_seconds,
        successful_jobs_history_limit=3,
        failed_jobs_history_limit=3,
        suspend=schedule.suspend or None,
        job_template=JobTemplateSpecArgs(
            spec=job_spec(
                template,
                deadline_seconds=deadline_seconds,
                retries=retries,
                keep_seconds=KEEP_SECONDS,
                on_failure=on_failure,
            )
        ),
    )
