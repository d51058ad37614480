"""PostgreSQL's next major by the commands of docs/dr.md: backup, new volume, restore, comparison, under predictions.

The image of 16 is a stand-in with the real programs. The backups' image of this release still has those of 15.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.live import Live
from support.live_procedures import desk_with_churn, follow
from support.tools import missing

from infra import naming as n
from infra.versions import PUBLIC

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(3600),
    pytest.mark.long(seconds=240, together="upgrade"),
]

NEXT = "docker.io/library/postgres:16-stand-in"
TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def rows(live: Live) -> dict[str, str]:
    return {table: live.sql(f"SELECT count(*) FROM {table}") for table in live.sql(TABLES).split()}  # noqa: S608 - names


@pytest.fixture
def old_volume(live: Live) -> Iterator[str]:
    """Name of the volume before the upgrade, which the procedure keeps; it is deleted afterwards."""
    claim = live.object("persistentvolumeclaim", n.POSTGRES, "data-postgres-0")
    name = str(claim["spec"]["volumeName"])
    yield name
    live.kubectl.run("delete", "persistentvolume", name, "--ignore-not-found", "--wait=false")


def test_the_next_major_has_all_data_and_the_way_back_is_kept(live: Live, old_volume: str, tmp_path: Path) -> None:
    images = {
        name for node in live.kubectl.get("nodes") for image in node["status"]["images"] for name in image["names"]
    }
    if NEXT not in images:
        missing(f"the cluster has no {NEXT}: tests/cluster/live/images.sh builds it")
    versions = live.project.folder / "infra" / "versions.py"
    text = versions.read_text()
    assert text.count(PUBLIC["postgres"]) == 1
    before = rows(live)
    versions.write_text(text.replace(PUBLIC["postgres"], NEXT))
    with live.load("upgrade", rate=20) as load:
        follow(live, "PostgreSQL upgrade", desk_with_churn(tmp_path))
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])
    assert live.sql("SHOW server_version").startswith("16.")
    assert rows(live) == before
    with live.forwarded(n.MLFLOW) as url:
        path = f"{url}/api/2.0/mlflow/registered-models/get?name=churn"
        login = ("admin", live.outputs["mlflow_password"])
        assert httpx.get(path, auth=login, timeout=30, trust_env=False).status_code == httpx.codes.OK
    (volume,) = (item for item in live.kubectl.get("persistentvolumes") if item["metadata"]["name"] == old_volume)
    assert (volume["status"]["phase"], volume["spec"]["persistentVolumeReclaimPolicy"]) == ("Released", "Retain")


def test_a_backup_by_the_older_release_says_in_one_line_what_to_do(live: Live) -> None:
    if not live.sql("SHOW server_version").startswith("16."):
        missing("PostgreSQL was not upgraded")
    where = ("--namespace", n.MLOPS)
    live.kubectl.run("create", "job", "backup-after-upgrade", "--from=cronjob/backup-postgres", *where)
    live.kubectl.run("wait", "--for=condition=Failed", "job/backup-after-upgrade", "--timeout=300s", *where)
    errors = [
        line
        for line in live.kubectl.run("logs", "job/backup-after-upgrade", *where).out.splitlines()
        if "Error" in line
    ]
    assert len(errors) == 1
    assert "it cannot dump a newer major. Run the image ops of a release for PostgreSQL 16" in errors[0]
