"""The restores' objects: they never start by themselves, and each has only what its part needs."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, children, containers, manifest, recorded

from infra.connections import LOGIN_LIMITS, LOGINS
from ops.stack.cluster_restore import PROGRAM

SECRETS = {
    "postgres-superuser", "postgres-mlflow", "postgres-grafana", "postgres-backup", "postgres-monitor", "mlflow-admin",
    "mlflow-training", "mlflow-api", "grafana-admin",
}  # fmt: skip
PARTS = ("databases", "artifacts", "logins")
OBJECTS = {("ServiceAccount", "restore-account"), *(("CronJob", f"restore-{part}") for part in PARTS)}


def template(stack: str, part: str) -> dict[str, Any]:
    spec = manifest(stack, "CronJob", f"restore-{part}")["spec"]["jobTemplate"]["spec"]["template"]
    return dict(spec)


def steps(stack: str, part: str) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in containers(template(stack, part))}


def mounted(container: dict[str, Any]) -> dict[str, bool]:
    """The container's volumes but /tmp, and whether it may write to each."""
    return {item["name"]: not item["readOnly"] for item in container["volumeMounts"] if item["name"] != "tmp"}


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    kind, role = ("Secret", "secret") if stack == "dev" else ("SecretProviderClass", "provider-class")
    assert children(recorded(stack), "restore") == OBJECTS | {(kind, f"restore-{name}-{role}") for name in SECRETS}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(("part", "retries"), [("databases", 0), ("artifacts", 0), ("logins", 4)])
def test_only_a_person_starts_it_and_it_may_take_the_promised_time(stack: str, part: str, retries: int) -> None:
    spec = manifest(stack, "CronJob", f"restore-{part}")["spec"]
    assert spec["suspend"] is True
    job = spec["jobTemplate"]["spec"]
    # Databases and artifacts that are in place are refused by a second run, which would hide the first one's success.
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (4 * 3600, retries)


@pytest.mark.parametrize("stack", STACKS)
def test_databases_are_restored_before_their_logins_are_set(stack: str) -> None:
    assert list(steps(stack, "databases")) == ["databases", "roles", "mlflow-users", "restore"]
    assert list(steps(stack, "logins")) == ["roles", "mlflow-users", "restore"]
    assert [item["command"][2] for item in steps(stack, "databases").values()] == [
        "ops.cli",
        "ops.jobs.database_setup",
        "ops.jobs.migrate",
        "ops.jobs.grafana_admin",
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_each_step_has_what_it_needs_and_nothing_else(stack: str) -> None:
    data = {"backups": False, "scratch": True}
    own = {name: mounted(container) for name, container in steps(stack, "databases").items()}
    certified = {} if stack == "dev" else {"postgres-mlflow": False}  # its secret has the certificates of RDS
    assert own["databases"] == {**data, "postgres-superuser": False, **certified}
    assert own["roles"] == dict.fromkeys(("postgres-superuser", *(spec.name for spec in LOGINS.values())), False)
    assert own["mlflow-users"] == dict.fromkeys(
        ("postgres-mlflow", "mlflow-admin", "mlflow-training", "mlflow-api"), False
    )
    assert own["restore"] == dict.fromkeys(("postgres-grafana", "grafana-admin"), False)
    (artifacts,) = steps(stack, "artifacts").values()
    assert mounted(artifacts) == {**data, **({"artifacts": True} if stack == "dev" else {})}
    for part in PARTS:
        pod = template(stack, part)["spec"]
        assert {volume["name"] for volume in pod["volumes"]} == {
            mount["name"] for container in containers(template(stack, part)) for mount in container["volumeMounts"]
        }
        assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("restore", False)


@pytest.mark.parametrize(
    ("stack", "to", "artifacts"),
    [
        ("dev", "host=postgres.churn-mlops.svc port=5432 sslmode=disable", "/var/lib/artifacts"),
        (
            "prod",
            "host=postgres.rds.example.com port=5432 sslmode=verify-full",
            "s3://churn-prod-artifacts-000000000000-eu-central-1/artifacts",
        ),
    ],
)
def test_it_restores_from_the_volume_into_the_stacks_own_places(stack: str, to: str, artifacts: str) -> None:
    source = ["--from", "/var/lib/backups", "--scratch", "/var/lib/restore"]
    login = ["--login", "/run/secrets/churn/postgres-superuser", "--wait", "60"]
    assert steps(stack, "databases")["databases"]["args"] == [*source, "--to", to, *login]
    assert steps(stack, "artifacts")["restore"]["args"] == [*source, "--artifacts-to", artifacts]
    for part, name in (("databases", "databases"), ("artifacts", "restore")):
        assert steps(stack, part)[name]["command"] == PROGRAM, "the command finds the container by it"


@pytest.mark.parametrize("stack", STACKS)
def test_the_logins_are_those_of_the_server_with_its_limits(stack: str) -> None:
    args = steps(stack, "logins")["roles"]["args"]
    named = [args[index + 1] for index, word in enumerate(args) if word == "--login"]
    assert named == [f"{role}:{LOGIN_LIMITS[role]}:/run/secrets/churn/{spec.name}" for role, spec in LOGINS.items()]
    assert "--without-backup" in steps(stack, "logins")["mlflow-users"]["args"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_pod_that_may_fill_a_disk_has_asked_for_it(stack: str) -> None:
    """Not only this one: a drill copies everything to its node's disk."""
    room = {"dev": "11Gi", "staging": "31Gi", "prod": "31Gi"}[stack]
    drill = manifest(stack, "CronJob", "drill")["spec"]["jobTemplate"]["spec"]["template"]
    for pod in (drill, template(stack, "databases"), template(stack, "artifacts")):
        container, volumes = containers(pod)[0], pod["spec"]["volumes"]
        sizes = {key: container["resources"][key]["ephemeral-storage"] for key in ("requests", "limits")}
        assert sizes == {"requests": room, "limits": room}
        (scratch,) = (item["emptyDir"]["sizeLimit"] for item in volumes if item["name"] == "scratch")
        assert int(scratch.removesuffix("Gi")) + 1 == int(room.removesuffix("Gi"))
