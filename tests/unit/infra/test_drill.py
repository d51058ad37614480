"""The drill's objects: it runs once a quarter, reads the backups, and has no access to the live platform."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, children, manifest, recorded, settings

from ops.backup.root import REPORTS

OBJECTS = {("CronJob", "drill-schedule"), ("ServiceAccount", "drill-account")}


def pod(stack: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(stack, "CronJob", "drill")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    assert children(recorded(stack), "drill") == OBJECTS


@pytest.mark.parametrize("stack", STACKS)
def test_it_runs_once_a_quarter_and_no_longer_than_a_recovery_may_take(stack: str) -> None:
    spec = manifest(stack, "CronJob", "drill")["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 5 1 1,4,7,10 *", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (4 * 3600, 1)
    assert job["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("stack", STACKS)
def test_it_reads_the_backups_and_writes_to_scratch(stack: str) -> None:
    (container,) = pod(stack)["containers"]
    assert container["command"] == ["python", "-m", "ops.cli", "drill"]
    reports = ["--reports", "/var/lib/drill-reports"]
    remote = [] if stack == "dev" else ["--remote", f"s3://churn-{stack}-backups-000000000000-eu-central-1"]
    assert container["args"] == ["--from", "/var/lib/backups", "--scratch", "/var/lib/drill", *reports, *remote]
    mounts = {mount["mountPath"]: (mount["readOnly"], mount.get("subPath")) for mount in container["volumeMounts"]}
    assert mounts == {
        "/var/lib/backups": (True, None),
        "/var/lib/drill-reports": (False, REPORTS),
        "/var/lib/drill": (False, None),
        "/tmp": (False, None),  # noqa: S108 - a path in the pod
    }
    room = settings(stack).backup.scratch_gib
    assert pod(stack)["volumes"] == [
        {"name": "backups", "persistentVolumeClaim": {"claimName": "backup-data", "readOnly": False}},
        {"name": "scratch", "emptyDir": {"sizeLimit": f"{room}Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "512Mi"}},
    ]
    # All of it is asked for: a pod that fills a disk which was not promised to it is evicted.
    sizes = {container["resources"][key]["ephemeral-storage"] for key in ("requests", "limits")}
    assert sizes == {f"{room + 1}Gi"}


@pytest.mark.parametrize("stack", STACKS)
def test_its_pod_is_hardened_and_has_no_login(stack: str) -> None:
    spec = pod(stack)
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("drill", False)
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not {"secret", "csi"} & {key for volume in spec["volumes"] for key in volume}
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert env == {"HOME": "/tmp", "PUSHGATEWAY_URL": "http://pushgateway.churn-monitoring.svc:9091"}  # noqa: S108
