from __future__ import annotations

from typing import Any

import pytest
from pulumi_kubernetes.core.v1 import PodSpecArgs, PodTemplateSpecArgs

from infra.kit import jobs, pod
from infra.naming import Workload

WORK = Workload(name="work", namespace="churn-mlops", uid=10001)


@pytest.fixture
def template() -> PodTemplateSpecArgs:
    return pod.harden(WORK, PodSpecArgs(containers=[], restart_policy="Never"))


def plain(args: object, template: PodTemplateSpecArgs) -> dict[str, Any]:
    """Return the fields of an argument object that are set; the template, annotated or not, stays as it is."""
    fields = {name: getattr(args, name) for name in vars(type(args)) if not name.startswith("_")}
    fields = {
        name: template if isinstance(value, PodTemplateSpecArgs) and value.spec is template.spec else value
        for name, value in fields.items()
    }
    return {
        name: value if value is template or isinstance(value, (int, str)) else plain(value, template)
        for name, value in fields.items()
        if value is not None
    }


def test_a_job_has_a_deadline_retries_and_a_time_to_be_kept(template: PodTemplateSpecArgs) -> None:
    spec = jobs.job_spec(template, deadline_seconds=600, retries=1, keep_seconds=60)
    assert plain(spec, template) == {
        "template": template,
        "backoff_limit": 1,
        "active_deadline_seconds": 600,
        "ttl_seconds_after_finished": 60,
    }


def test_no_pod_of_a_job_is_evicted_to_save_a_node() -> None:
    """The annotations that it has stay, and the template that was passed in stays as it is."""
    annotated = pod.harden(WORK, PodSpecArgs(containers=[], restart_policy="Never"), annotations={"a": "b"})
    changed = jobs.undisturbed(annotated)
    assert changed.metadata.annotations == {"a": "b", "karpenter.sh/do-not-disrupt": "true"}  # type: ignore[union-attr]
    assert annotated.metadata.annotations == {"a": "b"}  # type: ignore[union-attr]
    assert changed.metadata.labels == annotated.metadata.labels  # type: ignore[union-attr]


def test_a_job_may_be_kept_for_good(template: PodTemplateSpecArgs) -> None:
    spec = jobs.job_spec(template, deadline_seconds=600, retries=0, keep_seconds=None)
    assert plain(spec, template) == {"template": template, "backoff_limit": 0, "active_deadline_seconds": 600}


def test_a_schedule_never_overlaps_and_never_hangs(template: PodTemplateSpecArgs) -> None:
    nightly = jobs.Schedule(cron="0 2 * * *", time_zone="Europe/Vienna")
    spec = jobs.cron_spec(template, nightly, deadline_seconds=900)
    assert plain(spec, template) == {
        "schedule": "0 2 * * *",
        "time_zone": "Europe/Vienna",
        "concurrency_policy": "Forbid",
        "starting_deadline_seconds": 3600,
        "successful_jobs_history_limit": 3,
        "failed_jobs_history_limit": 3,
        "job_template": {
            "spec": {
                "template": template,
                "backoff_limit": 2,
                "active_deadline_seconds": 900,
                "ttl_seconds_after_finished": 604800,
            }
        },
    }


def test_a_suspended_schedule_is_a_template_for_people(template: PodTemplateSpecArgs) -> None:
    by_hand = jobs.Schedule(cron="0 0 1 1 *", time_zone="Etc/UTC", start_within_seconds=30, suspend=True)
    spec = jobs.cron_spec(template, by_hand, deadline_seconds=60, retries=0)
    assert (spec.suspend, spec.starting_deadline_seconds) == (True, 30)
