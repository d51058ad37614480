"""Work that ends by itself: jobs, once or by the clock, always with a deadline."""

from __future__ import annotations

from typing import Final

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

KEEP_SECONDS: Final = 7 * 24 * 3600
"""How long a finished job of a schedule and its log are kept."""
BAD_INPUT: Final = 2
"""Exit code of our programs for what only a person can put right."""


def failure_policy(container: str) -> PodFailurePolicyArgs:
    """What a failed pod means: an interruption is no failure of the work, and bad input stays bad when tried again.

    An interruption (a spot node taken back, a drain, an eviction) does not count against the retries; the deadline
    bounds it all the same.
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
    """A job that is tried ``1 + retries`` times and ended at the deadline, which counts from its start over all tries.

    ``keep_seconds`` of None keeps a finished job: right where Pulumi itself made it and would miss it.
    """
    return JobSpecArgs(
        template=template,
        backoff_limit=retries,
        active_deadline_seconds=deadline_seconds,
        ttl_seconds_after_finished=keep_seconds,
        pod_failure_policy=on_failure,
    )


def cron_spec(
    template: PodTemplateSpecArgs,
    *,
    schedule: str,
    time_zone: str,
    deadline_seconds: int,
    retries: int = 2,
    start_within_seconds: int = 3600,
    suspend: bool = False,
    on_failure: PodFailurePolicyArgs | None = None,
) -> CronJobSpecArgs:
    """A job by the clock of ``time_zone``, never two at once.

    A start that is missed by more than ``start_within_seconds`` is left out. The deadline matters twice here: under
    `Forbid`, a job that hangs would block every later one. ``suspend`` makes a template that people start jobs from.
    """
    return CronJobSpecArgs(
        schedule=schedule,
        time_zone=time_zone,
        concurrency_policy="Forbid",
        starting_deadline_seconds=start_within_seconds,
        successful_jobs_history_limit=3,
        failed_jobs_history_limit=3,
        suspend=suspend or None,
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
