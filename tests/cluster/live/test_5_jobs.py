"""Scheduled jobs, started by hand: backups, a drill that restores them, and a training."""

from __future__ import annotations

import time

import pytest
from support.live import Live
from support.servers import wait_until

from infra import naming as n

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

WITHIN = "--timeout=300s"


def run(live: Live, cronjob: str) -> str:
    """Start a job as the runbooks say, wait until it completes, and return its log."""
    name = f"{cronjob}-by-hand"
    where = ("--namespace", n.MLOPS)
    started = time.monotonic()
    live.kubectl.run("create", "job", name, f"--from=cronjob/{cronjob}", *where)
    answer = live.kubectl.attempt("wait", "--for=condition=Complete", f"job/{name}", WITHIN, *where)
    log = live.kubectl.run("logs", f"job/{name}", *where).out
    assert answer.ok, f"{answer.err}\n{log}"
    live.figures.setdefault("a job by hand takes, s", {})[cronjob] = round(time.monotonic() - started)
    return log


@pytest.mark.parametrize("kind", ["postgres", "artifacts"])
def test_a_backup_succeeds_and_is_reported(live: Live, kind: str) -> None:
    run(live, f"backup-{kind}")
    query = f'churn_backup_success{{kind="{kind}"}} == 1'
    wait_until(lambda: live.metric(query) == 1, "Prometheus knows of the backup", 90)
    free, whole = (live.metric(f'churn_backup_{part}_bytes{{kind="{kind}"}}') for part in ("free", "volume"))
    assert free is not None
    assert whole is not None
    assert 0 < free <= whole
    # What `JobFailed` goes by: a job by hand belongs to its schedule, and its success is one of the schedule.
    owner = f'kube_job_owner{{job_name="backup-{kind}-by-hand", owner_kind="CronJob", owner_name="backup-{kind}"}}'
    success = f'kube_cronjob_status_last_successful_time{{cronjob="backup-{kind}"}}'
    created = f'max(kube_job_created{{job_name="backup-{kind}-by-hand"}})'
    wait_until(lambda: live.metric(owner) == 1, "kube-state-metrics knows whose the job is", 90)
    wait_until(lambda: live.metric(f"max({success}) >= {created}"), "the schedule has succeeded", 90)


def test_a_drill_restores_it_and_the_production_model_gives_its_scores(live: Live) -> None:
    run(live, "drill")
    wait_until(lambda: live.metric("churn_drill_success") == 1, "Prometheus knows of the drill", 90)
    versions = live.metric("churn_drill_versions")
    assert versions is not None
    assert versions >= 1


def test_a_training_on_demand_stages_another_version_and_leaves_production(live: Live) -> None:
    assert "version 2 is staged" in run(live, "training-on-demand")
    assert live.predict().json()["model_version"] == "1"
