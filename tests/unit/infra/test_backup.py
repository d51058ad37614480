"""The backups' objects: schedules, sources and targets, and that no two jobs need the same volume at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from support.recorder import STACKS, children, find, manifest, own_image, record_with, recorded

from infra.workloads import backup

OBJECTS = {
    ("CronJob", "backup-artifacts"),
    ("CronJob", "backup-postgres"),
    ("PersistentVolumeClaim", "backup-data"),
    ("ServiceAccount", "backup-account"),
}
SECRET = {("Secret", "backup-postgres-backup-secret")}
SECRET_OF_AWS = {("SecretProviderClass", "backup-postgres-backup-provider-class")}
JOBS = ("backup-postgres", "backup-artifacts")
DRILL = "drill"
GRACE_SECONDS = 30
DAY = 24 * 3600


def pod(stack: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(stack, "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def container(stack: str, name: str) -> dict[str, Any]:
    (only,) = pod(stack, name)["containers"]
    return dict(only)


def window(stack: str, name: str) -> tuple[int, int]:
    """Return the seconds of the day of a job's earliest start, and of the end of its last pod."""
    spec = manifest(stack, "CronJob", name)["spec"]
    minute, hour, *_ = spec["schedule"].split()
    start = int(hour) * 3600 + int(minute) * 60
    job = spec["jobTemplate"]["spec"]
    grace = job["template"]["spec"]["terminationGracePeriodSeconds"]
    return start, start + spec["startingDeadlineSeconds"] + job["activeDeadlineSeconds"] + int(grace)


@pytest.mark.parametrize(("stack", "secret"), [("dev", SECRET), ("staging", SECRET_OF_AWS), ("prod", SECRET_OF_AWS)])
def test_it_is_exactly_these_objects(stack: str, secret: set[tuple[str, str]]) -> None:
    assert children(recorded(stack), "backup") == OBJECTS | secret


@pytest.mark.parametrize("stack", STACKS)
def test_the_schedules(stack: str) -> None:
    specs = [manifest(stack, "CronJob", name)["spec"] for name in JOBS]
    assert [spec["schedule"] for spec in specs] == ["0 2 * * *", "0 3 * * *"]
    assert all((spec["timeZone"], spec["concurrencyPolicy"]) == ("Etc/UTC", "Forbid") for spec in specs)
    assert [spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] for spec in specs] == [45 * 60, 80 * 60]
    assert all(spec["jobTemplate"]["spec"]["backoffLimit"] == 2 for spec in specs)


@pytest.mark.parametrize("stack", STACKS)
def test_no_two_jobs_that_mount_the_backups_run_at_a_time(stack: str) -> None:
    mounting = [
        name
        for name in (*JOBS, DRILL)
        if any(
            volume.get("persistentVolumeClaim", {}).get("claimName") == backup.CLAIM
            for volume in pod(stack, name)["volumes"]
        )
    ]
    assert mounting == [*JOBS, DRILL]
    windows = sorted(window(stack, name) for name in mounting)
    assert all(end < start for (_, end), (start, _) in pairwise(windows)), windows
    assert windows[-1][1] < windows[0][0] + DAY


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_collected_while_artifacts_are_copied(stack: str) -> None:
    first, last = window(stack, JOBS[0])[0], window(stack, JOBS[1])[1]
    collect = manifest(stack, "CronJob", "mlflow-gc")["spec"]["schedule"].split()
    assert not first <= int(collect[1]) * 3600 + int(collect[0]) * 60 <= last


@pytest.mark.parametrize("stack", STACKS)
def test_the_volume(stack: str) -> None:
    claim = find(recorded(stack), "PersistentVolumeClaim", backup.CLAIM)
    assert claim.inputs["spec"]["resources"]["requests"] == {"storage": "50Gi"}
    assert claim.inputs["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert (claim.protect, claim.retain_on_delete) == ((False, False) if stack == "dev" else (True, True))


def test_arguments_on_a_local_cluster() -> None:
    database, artifacts = (container("dev", name) for name in JOBS)
    keep = ["--to", "/var/lib/backups", "--keep-days", "7"]
    assert database["command"] == ["python", "-m", "ops.cli", "backup", "postgres"]
    assert database["args"] == [
        "--service",
        "churn",
        "--wait",
        "60",
        "--database",
        "mlflow",
        "--database",
        "grafana",
        *keep,
    ]
    assert artifacts["command"] == ["python", "-m", "ops.cli", "backup", "artifacts"]
    assert artifacts["args"] == ["--from", "/var/lib/artifacts", *keep]


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_arguments_on_aws(stack: str) -> None:
    database, artifacts = (container(stack, name) for name in JOBS)
    upload = ["--upload", f"s3://churn-{stack}-backups-000000000000-eu-central-1"]
    assert database["args"][-2:] == artifacts["args"][-2:] == upload
    assert artifacts["args"][:2] == ["--from", f"s3://churn-{stack}-artifacts-000000000000-eu-central-1/artifacts"]


def test_the_artifacts_are_read_where_mlflow_writes_them() -> None:
    server = manifest("dev", "Deployment", "mlflow")["spec"]["template"]["spec"]
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in server["volumes"]
        if "persistentVolumeClaim" in volume
    }
    mine = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod("dev", JOBS[1])["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert mine == {"artifacts": "mlflow-artifacts", "backups": "backup-data"}
    assert claims == {"mlflow-artifacts"}
    on_aws = manifest("prod", "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert on_aws[-1] == container("prod", JOBS[1])["args"][1]


def test_on_a_volume_the_copy_runs_on_its_node_and_the_dump_where_it_can() -> None:
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "mlflow", "app.kubernetes.io/part-of": "churn"}},
    }
    dump, copy = (pod("dev", name)["affinity"] for name in JOBS)
    assert copy == {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    assert dump == {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    assert all("affinity" not in pod(stack, name) for stack in ("staging", "prod") for name in JOBS)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", JOBS)
def test_their_pods_are_hardened_and_write_to_the_backups_alone(stack: str, name: str) -> None:
    spec, only = pod(stack, name), container(stack, name)
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("backup", False)
    assert (spec["restartPolicy"], spec["securityContext"]["runAsNonRoot"]) == ("Never", True)
    assert only["securityContext"]["readOnlyRootFilesystem"] is True
    assert only["image"].startswith(f"{own_image(stack, 'ops')}@sha256:")
    writable = {mount["mountPath"] for mount in only["volumeMounts"] if not mount["readOnly"]}
    assert writable == {"/var/lib/backups", "/tmp"}  # noqa: S108 - paths in the pod
    env = {variable["name"]: variable["value"] for variable in only["env"]}
    assert env["PUSHGATEWAY_URL"] == "http://pushgateway.churn-monitoring.svc:9091"


@pytest.mark.parametrize("stack", STACKS)
def test_the_database_login_is_a_file_of_the_dump_alone(stack: str) -> None:
    dump, copy = (container(stack, name) for name in JOBS)
    env = {variable["name"]: variable["value"] for variable in dump["env"]}
    assert env["PGSERVICEFILE"] == "/run/secrets/churn/postgres/pg_service.conf"
    assert "/run/secrets/churn/postgres" in {mount["mountPath"] for mount in dump["volumeMounts"]}
    assert not {"secret", "csi"} & {key for volume in pod(stack, JOBS[1])["volumes"] for key in volume}
    assert "PGSERVICEFILE" not in {variable["name"] for variable in copy["env"]}


def test_retention_time_zone_and_size_are_settings() -> None:
    values = {"retention_days": 14, "storage_gib": 80, "time_zone": "Europe/Vienna"}
    changed = record_with("dev", backup=values)
    spec = find(changed, "CronJob", "backup-postgres").inputs["spec"]
    assert spec["timeZone"] == "Europe/Vienna"
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][-2:] == ["--keep-days", "14"]
    claim = find(changed, "PersistentVolumeClaim", backup.CLAIM)
    assert claim.inputs["spec"]["resources"]["requests"] == {"storage": "80Gi"}
