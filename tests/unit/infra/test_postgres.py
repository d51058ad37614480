"""The database's pod, the SQL of its start, and the sum of all connections."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, children, find, manifest, named, record_with, recorded, settings

from infra.connections import LOGIN_LIMITS, MAX_CONNECTIONS, POOLS, RDS_OWN, RESERVED, demand
from infra.workloads import postgres

OBJECTS = {
    ("ConfigMap", "postgres-init"),
    ("PersistentVolumeClaim", "postgres-data-0"),
    ("Service", "postgres-service"),
    ("ServiceAccount", "postgres-account"),
    ("StatefulSet", "postgres-server"),
}
SECRETS = ("postgres-superuser", "postgres-mlflow", "postgres-grafana", "postgres-backup", "postgres-monitor")


def spec() -> dict[str, Any]:
    stateful_set_spec: dict[str, Any] = manifest("dev", "StatefulSet", "postgres")["spec"]
    return stateful_set_spec


def pod() -> dict[str, Any]:
    pod_spec: dict[str, Any] = spec()["template"]["spec"]
    return pod_spec


def container() -> dict[str, Any]:
    first: dict[str, Any] = pod()["containers"][0]
    return first


def test_it_is_exactly_these_objects() -> None:
    secrets = {("Secret", f"postgres-{secret}-secret") for secret in SECRETS}
    assert children(recorded("dev"), "postgres") == OBJECTS | secrets


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_beside_rds_there_is_none(stack: str) -> None:
    assert "postgres" not in {resource.name for resource in recorded(stack).resources}


def test_on_aws_it_may_be_a_pod_too_and_finds_its_secrets_in_aws() -> None:
    classes = {("SecretProviderClass", f"postgres-{secret}-provider-class") for secret in SECRETS}
    assert children(record_with("prod", database={"kind": "in-cluster"}), "postgres") == OBJECTS | classes


def test_one_server_with_a_stable_name_and_a_volume() -> None:
    assert spec()["serviceName"] == "postgres"
    assert spec()["replicas"] == 1
    assert spec()["updateStrategy"] == {"type": "RollingUpdate"}
    (template,) = spec()["volumeClaimTemplates"]
    assert template["metadata"]["name"] == "data"
    claim = manifest("dev", "PersistentVolumeClaim", "data-postgres-0")
    assert template["spec"] == claim["spec"], "a claim that the controller creates again has the same room"
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    service = manifest("dev", "Service", "postgres")["spec"]
    assert service["clusterIP"] == "None"
    assert service["selector"] == spec()["selector"]["matchLabels"]
    assert [port["port"] for port in service["ports"]] == [5432]


@pytest.mark.parametrize("protect", [True, False])
def test_its_data_is_kept_where_the_stack_protects_its_state(protect: bool) -> None:  # noqa: FBT001 - a case
    stack = record_with("dev", state={"protect": protect})
    server = find(stack, "StatefulSet", "postgres")
    policy = server.manifest()["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    for resource in (server, find(stack, "PersistentVolumeClaim", "data-postgres-0")):
        assert (resource.protect, resource.retain_on_delete) == (protect, protect)


def test_a_larger_volume_changes_the_claim_and_nothing_else() -> None:
    def objects(gib: int) -> dict[str, Any]:
        recording = record_with("dev", database=settings("dev").database.model_dump() | {"storage_gib": gib})
        return {resource.urn: resource.inputs for resource in recording.resources}

    before, after = objects(5), objects(8)
    assert before.keys() == after.keys()
    changed = {urn.rpartition("::")[2]: after[urn] for urn in before if before[urn] != after[urn]}
    assert changed.keys() == {"postgres-data-0", "postgres-server"}
    # The engine ignores the server's template, which nobody can change: `tests/engine/test_changes.py` shows that.
    server = find(recorded("dev"), "StatefulSet", "postgres")
    assert server.ignore_changes == ("spec.volumeClaimTemplates",)
    without = {**changed["postgres-server"]["spec"], "volumeClaimTemplates": None}
    assert without == {**server.inputs["spec"], "volumeClaimTemplates": None}


def test_size() -> None:
    assert container()["resources"] == {
        "requests": {"cpu": "50m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
    }


def test_it_is_the_images_own_user_and_writes_only_to_its_volumes() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 70, "runAsGroup": 70, "fsGroup": 70,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    written = {mount["mountPath"] for mount in container()["volumeMounts"] if not mount["readOnly"]}
    assert written == {"/var/lib/postgresql/data", "/var/run/postgresql", "/tmp"}  # noqa: S108 - a path in the pod


def test_secrets_are_files_and_nothing_else() -> None:
    environment = {variable["name"]: variable["value"] for variable in container()["env"]}
    assert environment == {
        "PGDATA": "/var/lib/postgresql/data/pgdata",
        "POSTGRES_PASSWORD_FILE": "/run/secrets/churn/postgres-superuser/password",
        "POSTGRES_INITDB_ARGS": "--auth-local=peer --auth-host=scram-sha-256 --data-checksums",
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert {secret: mounts[secret] for secret in SECRETS} == {s: f"/run/secrets/churn/{s}" for s in SECRETS}


def test_the_servers_parameters_fit_its_pod() -> None:
    options = container()["args"]
    assert options[::2] == ["-c"] * len(postgres.SERVER)
    parameters = dict(option.split("=", 1) for option in options[1::2])
    assert parameters == postgres.SERVER
    assert parameters["max_connections"] == str(MAX_CONNECTIONS)
    assert parameters["superuser_reserved_connections"] == str(RESERVED)
    assert parameters["password_encryption"] == "scram-sha-256"  # noqa: S105 - a method
    assert parameters["shared_buffers"] == "128MB"


def test_a_long_recovery_is_not_ready_and_not_dead() -> None:
    assert container()["readinessProbe"]["exec"]["command"] == ["pg_isready", "--quiet", "--host=127.0.0.1"]
    assert container()["livenessProbe"]["tcpSocket"] == {"port": "postgres"}
    startup = container()["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 3600
    assert pod()["terminationGracePeriodSeconds"] == 60


def test_no_pod_counts_as_started_before_its_logins_are_those_of_the_secrets() -> None:
    (sql,) = (mount["mountPath"] for mount in container()["volumeMounts"] if mount["name"] == "logins")
    command = container()["startupProbe"]["exec"]["command"]
    assert command[0] == "psql"
    assert command[-1] == f"--file={sql}/logins.sql"


def test_the_sql_of_the_logins_holds_no_password_and_rolls_the_pod_when_it_changes() -> None:
    first = find(recorded("dev"), "ConfigMap", "postgres-init")
    assert first.inputs["data"] == {"logins.sql": postgres.init_sql()}
    assert "name" not in first.inputs["metadata"]
    (volume,) = (volume for volume in pod()["volumes"] if "configMap" in volume)
    assert volume["configMap"]["name"] == first.outputs["metadata"]["name"]
    for secret in SECRETS:
        file = "pg_service.conf" if secret in {"postgres-mlflow", "postgres-backup"} else "password"
        assert f"pg_read_file('/run/secrets/churn/{secret}/{file}')" in first.inputs["data"]["logins.sql"]


@pytest.mark.parametrize("stack", STACKS)
def test_all_pools_together_fit_the_server(stack: str) -> None:
    demanded = demand(settings(stack))
    assert set(demanded) == set(LOGIN_LIMITS)
    assert all(demanded[login] <= LOGIN_LIMITS[login] for login in demanded), demanded
    assert sum(LOGIN_LIMITS.values()) <= MAX_CONNECTIONS - RESERVED


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_rds_has_room_for_every_login_beside_what_it_keeps(stack: str) -> None:
    """What nobody can change there is 3 and 2 by default; sessions of RDS itself count like any other."""
    group = named(recorded(stack), "database-parameters")
    parameters = {item["name"]: item["value"] for item in group.inputs["parameters"]}
    kept_back = 3 + 2
    assert "superuser_reserved_connections" not in parameters
    assert sum(LOGIN_LIMITS.values()) + RDS_OWN <= int(parameters["max_connections"]) - kept_back


@pytest.mark.parametrize("workload", ["mlflow", "mlflow-migrate", "mlflow-gc"])
@pytest.mark.parametrize("stack", STACKS)
def test_each_pod_of_mlflow_has_its_pool_by_the_table(stack: str, workload: str) -> None:
    kind = {"mlflow": "Deployment", "mlflow-migrate": "Job", "mlflow-gc": "CronJob"}[workload]
    name = {"mlflow-migrate": "mlflow-migration-job"}.get(workload, workload)
    body = manifest(stack, kind, name)["spec"]
    body = body.get("jobTemplate", {}).get("spec", body)
    environment = {item["name"]: item["value"] for item in body["template"]["spec"]["containers"][0]["env"]}
    pool = POOLS[workload]
    assert environment["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] == str(pool.size)
    assert environment["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"] == str(pool.overflow)
    assert pool.overflow > 0, "MLflow takes 0 for no setting, which is 10"
