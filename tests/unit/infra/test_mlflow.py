"""MLflow's server, its migration and its garbage collection."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, children, find, manifest, record_with, recorded
from support.rollout_rules import OLD_FIRST

from infra.workloads import mlflow_jobs
from infra.workloads.mlflow import allowed_hosts
from ops.jobs.tracking_users import READERS

OBJECTS = {
    ("CronJob", "mlflow-gc-schedule"),
    ("Deployment", "mlflow-deployment"),
    ("Job", "mlflow-migration-job"),
    ("Service", "mlflow-service"),
    ("ServiceAccount", "mlflow-account"),
    ("ServiceAccount", "mlflow-gc-account"),
    ("ServiceAccount", "mlflow-migration-account"),
}
SECRETS = {
    "mlflow": ("postgres-mlflow", "mlflow-admin"),
    "mlflow-migration": ("postgres-mlflow", "mlflow-admin", "mlflow-training", "mlflow-api"),
    "mlflow-gc": ("postgres-mlflow", "mlflow-admin"),
}
MOUNTED = [f"{component}-{secret}" for component, secrets in SECRETS.items() for secret in secrets]


def template(stack: str, component: str) -> dict[str, Any]:
    """Return the pod of the server, the migration or the garbage collection."""
    kind, name = {
        "mlflow": ("Deployment", "mlflow"),
        "mlflow-migration": ("Job", "mlflow-migration-job"),
        "mlflow-gc": ("CronJob", "mlflow-gc"),
    }[component]
    spec = manifest(stack, kind, name)["spec"]
    pod_spec: dict[str, Any] = spec.get("jobTemplate", {}).get("spec", spec)["template"]["spec"]
    return pod_spec


def container(stack: str, component: str) -> dict[str, Any]:
    first: dict[str, Any] = template(stack, component)["containers"][0]
    return first


def options(stack: str) -> dict[str, str]:
    """Return the options of the server with their values."""
    arguments = container(stack, "mlflow")["args"][1:]
    return dict(zip(arguments, [*arguments[1:], ""], strict=True))


def test_it_is_exactly_these_objects_on_a_laptop() -> None:
    secrets = {("Secret", f"{name}-secret") for name in MOUNTED}
    assert children(recorded("dev"), "mlflow") == OBJECTS | secrets


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_it_is_exactly_these_objects_on_aws(stack: str) -> None:
    secrets = {("SecretProviderClass", f"{name}-provider-class") for name in MOUNTED}
    assert children(recorded(stack), "mlflow") == OBJECTS | secrets | {("PodDisruptionBudget", "mlflow-budget")}


def test_artifacts_on_a_volume_allow_one_server_at_a_time() -> None:
    deployment = manifest("dev", "Deployment", "mlflow")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, OLD_FIRST)
    claim = find(recorded("dev"), "PersistentVolumeClaim", "mlflow-artifacts")
    assert claim.inputs["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert options("dev")["--artifacts-destination"] == "file:///var/lib/mlflow/artifacts"
    mounts = {mount["mountPath"]: mount for mount in container("dev", "mlflow")["volumeMounts"]}
    assert mounts["/var/lib/mlflow/artifacts"]["readOnly"] is False


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_artifacts_in_a_bucket_allow_several_that_follow_one_another(stack: str) -> None:
    deployment = manifest(stack, "Deployment", "mlflow")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert options(stack)["--artifacts-destination"].startswith("s3://")
    assert options(stack)["--artifacts-destination"].endswith("/artifacts")
    budget = manifest(stack, "PodDisruptionBudget", "mlflow")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]
    spread = template(stack, "mlflow")["topologySpreadConstraints"][0]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")


def test_every_name_it_is_called_by_is_allowed_with_and_without_its_port() -> None:
    assert allowed_hosts("churn.example.com") == [
        "mlflow", "mlflow:5000",
        "mlflow.churn-mlops", "mlflow.churn-mlops:5000",
        "mlflow.churn-mlops.svc", "mlflow.churn-mlops.svc:5000",
        "mlflow.churn-mlops.svc.cluster.local", "mlflow.churn-mlops.svc.cluster.local:5000",
        "mlflow.churn-mlops.svc.cluster.local.", "mlflow.churn-mlops.svc.cluster.local.:5000",
        "mlflow.churn.example.com", "mlflow.churn.example.com:443",
        "localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*",
    ]  # fmt: skip


@pytest.mark.parametrize("stack", STACKS)
def test_the_server_has_logins_and_one_worker(stack: str) -> None:
    assert container(stack, "mlflow")["command"] == ["python", "-m", "ops.jobs.tracking_pod"]
    assert container(stack, "mlflow")["args"][0] == "server"
    flags = options(stack)
    assert flags["--app-name"] == "basic-auth"
    assert flags["--workers"] == "1"
    assert flags["--backend-store-uri"] == "postgresql+psycopg2://?service=churn"
    assert "--serve-artifacts" in flags
    hosts = flags["--allowed-hosts"].split(",")
    assert "mlflow.churn-mlops.svc:5000" in hosts
    assert "*" not in hosts
    outside = f"https://{next(h for h in hosts if h.endswith(':443'))[:-4]}"
    origins = [outside, f"{outside}:[0-9]*", f"{outside}.", f"{outside}.:[0-9]*"]
    assert flags["--cors-allowed-origins"].split(",") == origins


@pytest.mark.parametrize("stack", STACKS)
def test_the_servers_probes_ask_what_needs_no_login_and_no_host(stack: str) -> None:
    server = container(stack, "mlflow")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"] == {"path": "/health", "port": "http"}
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] == 300
    assert server["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert template(stack, "mlflow")["terminationGracePeriodSeconds"] == 60


@pytest.mark.parametrize(
    ("stack", "size"),
    [
        ("dev", ("50m", "1", "512Mi", "2Gi")),
        ("staging", ("500m", "1", "1Gi", "2Gi")),
        ("prod", ("500m", "2", "1Gi", "3Gi")),
    ],
)
def test_size(stack: str, size: tuple[str, ...]) -> None:
    resources = container(stack, "mlflow")["resources"]
    requests, limits = resources["requests"], resources["limits"]
    assert (requests["cpu"], limits["cpu"], requests["memory"], limits["memory"]) == size
    (tmp,) = (volume for volume in template(stack, "mlflow")["volumes"] if volume["name"] == "tmp")
    assert (tmp["emptyDir"]["sizeLimit"], limits["ephemeral-storage"]) == ("2Gi", "3Gi")


@pytest.mark.parametrize("component", SECRETS)
@pytest.mark.parametrize("stack", STACKS)
def test_secrets_are_files_and_nothing_else(stack: str, component: str) -> None:
    server = container(stack, component)
    assert all(set(variable) == {"name", "value"} for variable in server["env"])
    mounts = {mount["name"]: mount for mount in server["volumeMounts"]}
    for secret in SECRETS[component]:
        assert mounts[secret]["mountPath"] == f"/run/secrets/churn/{secret}"
        assert mounts[secret]["readOnly"] is True
    kind = "secret" if stack == "dev" else "csi"
    held = {volume["name"] for volume in template(stack, component)["volumes"] if kind in volume}
    assert held == set(SECRETS[component])
    environment = {variable["name"]: variable["value"] for variable in server["env"]}
    assert environment["PGSERVICEFILE"] == "/run/secrets/churn/postgres-mlflow/pg_service.conf"


@pytest.mark.parametrize("component", SECRETS)
@pytest.mark.parametrize("stack", STACKS)
def test_each_pod_is_hardened(stack: str, component: str) -> None:
    pod, only = template(stack, component), container(stack, component)
    assert pod["serviceAccountName"] == component.replace("migration", "migrate")
    assert pod["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (10001, 10001)
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "privileged": False,
        "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 10001,
    }  # fmt: skip
    written = {mount["name"] for mount in only["volumeMounts"] if not mount["readOnly"]}
    assert written == {"tmp"} | ({"artifacts"} if component == "mlflow" and stack == "dev" else set())


@pytest.mark.parametrize("stack", STACKS)
def test_pulumi_waits_for_the_migration_before_the_server_changes(stack: str) -> None:
    job = find(recorded(stack), "Job", "mlflow-migration-job")
    assert "name" not in job.inputs["metadata"], "a name of its own would keep a changed image from running it again"
    assert job.inputs["metadata"]["annotations"] == {
        "pulumi.com/timeoutSeconds": "1860",
        "pulumi.com/replaceUnready": "true",
    }
    spec = job.inputs["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (2, 1800)
    assert "ttlSecondsAfterFinished" not in spec
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    refused = spec["podFailurePolicy"]["rules"][-1]
    assert (refused["action"], refused["onExitCodes"]["values"]) == ("FailJob", [2])
    assert job.urn in find(recorded(stack), "Deployment", "mlflow").depends_on


def test_the_migration_waits_for_a_database_in_the_cluster() -> None:
    resources = recorded("dev").resources
    registry = next(resource for resource in resources if not resource.custom and resource.name == "mlflow")
    assert find(recorded("dev"), "StatefulSet", "postgres").urn in registry.depends_on


@pytest.mark.parametrize("stack", STACKS)
def test_the_migration_sees_the_backups_and_every_login(stack: str) -> None:
    migration = container(stack, "mlflow-migration")
    assert migration["command"] == ["python", "-m", "ops.jobs.migrate"]
    assert migration["args"] == [
        "--database", "postgresql+psycopg2://?service=churn",
        "--admin", "/run/secrets/churn/mlflow-admin",
        "--writer", "/run/secrets/churn/mlflow-training",
        "--reader", "/run/secrets/churn/mlflow-api",
        "--backups", "/backups" if stack == "dev" else f"s3://churn-{stack}-backups-000000000000-eu-central-1",
    ]  # fmt: skip
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]
        for volume in template(stack, "mlflow-migration")["volumes"]
        if "persistentVolumeClaim" in volume
    }
    # One node mounts a volume at a time, and a backup may be running on another: there, the bucket is asked.
    assert set(claims) == ({"backups", "artifacts"} if stack == "dev" else set())
    if stack == "dev":
        assert claims["backups"] == {"claimName": "backup-data", "readOnly": True}
        assert [m["readOnly"] for m in migration["volumeMounts"] if m["name"] == "backups"] == [True]


def test_the_apis_user_is_one_that_the_server_keeps_from_writing() -> None:
    secret = find(recorded("dev"), "Secret", "mlflow-migration-mlflow-api-secret")
    assert {secret.inputs["stringData"]["username"]} == READERS


@pytest.mark.parametrize("stack", STACKS)
def test_deleted_runs_are_removed_weekly_and_clear_of_the_backups(stack: str) -> None:
    spec = manifest(stack, "CronJob", "mlflow-gc")["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 6 * * 0", "Etc/UTC", "Forbid")
    assert spec["startingDeadlineSeconds"] == 3600
    job = spec["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (10800, 1)
    assert container(stack, "mlflow-gc")["args"] == [
        "gc", "--older-than", mlflow_jobs.GC_AGE,
        "--backend-store-uri", "postgresql+psycopg2://?service=churn",
        "--tracking-uri", "http://mlflow.churn-mlops.svc:5000",
    ]  # fmt: skip


def test_the_time_zone_is_that_of_the_backups() -> None:
    changed = record_with("dev", backup={"time_zone": "Europe/Vienna"})
    assert find(changed, "CronJob", "mlflow-gc").manifest()["spec"]["timeZone"] == "Europe/Vienna"


def test_artifacts_are_kept_where_the_stack_protects_its_state() -> None:
    changed = record_with("dev", state={"protect": True})
    assert find(changed, "PersistentVolumeClaim", "mlflow-artifacts").protect
