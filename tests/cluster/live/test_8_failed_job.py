"""A migration that fails is run again by the next `up`, without a step by hand, while what serves goes on serving."""

from __future__ import annotations

import httpx
import pytest
from support.kubectl import Json
from support.live import Live

from infra.naming import MLFLOW_MIGRATE, MLOPS

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(1800),
    pytest.mark.long(seconds=120, together="failed job"),
]

GOOD = 'args=["--database", DATABASE_URI, *user_options(), "--backups", backups],'
BAD = 'args=["--database", DATABASE_URI, *user_options(), "--backups", backups, "--no-such-option"],'
"""Wrong usage: exit code 2, which fails the Job at once."""


def migration(live: Live) -> Json:
    [job] = [
        job
        for job in live.kubectl.get("jobs", namespace=MLOPS)
        if job["metadata"]["labels"].get("app.kubernetes.io/name") == MLFLOW_MIGRATE.name
    ]
    return job


def conditions(job: Json) -> set[str]:
    return {item["type"] for item in job["status"].get("conditions", []) if item["status"] == "True"}


def test_up_runs_a_failed_job_again_until_it_completes(live: Live) -> None:
    source = live.project.folder / "infra" / "workloads" / "mlflow_jobs.py"
    text = source.read_text()
    assert GOOD in text
    try:
        source.write_text(text.replace(GOOD, BAD))
        first = live.project.run("up")
        assert not first.succeeded
        failed = migration(live)
        assert "Failed" in conditions(failed)
        assert live.predict().status_code == httpx.codes.OK

        again = live.project.run("up")
        assert not again.succeeded
        second = migration(live)
        assert second["metadata"]["uid"] != failed["metadata"]["uid"]
    finally:
        source.write_text(text)
    live.up()
    assert "Complete" in conditions(migration(live))
    assert live.project.run("preview", expect_no_changes=True).succeeded
    assert live.predict().status_code == httpx.codes.OK
