"""Training's objects: the schedule, the template for people, the first run, and the nodes of their pods."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, children, find, manifest, own_image, pod_specs, record_with, recorded, settings

from infra.workloads import training
from ops.jobs import retrain

OBJECTS = {
    ("CronJob", "training-on-demand"),
    ("CronJob", "training-schedule"),
    ("ServiceAccount", "training-account"),
}
FIRST = {("Job", "training-first")}
SECRET = {("Secret", "training-mlflow-training-secret")}
SECRET_OF_AWS = {("SecretProviderClass", "training-mlflow-training-provider-class")}
ON_DRIFT = {("CronJob", "training-on-drift")}
BOTH = ("training", "training-on-demand")


def job(stack: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(stack, "CronJob", name)["spec"]["jobTemplate"]["spec"]
    return spec


def pods(stack: str) -> list[dict[str, Any]]:
    """Return the pods of the schedule and the template, and of the first run and runs on drift where they exist."""
    specs = {name: spec for name, spec in pod_specs(recorded(stack)).items() if "/training" in name}
    chosen = settings(stack).training
    assert len(specs) == 2 + chosen.bootstrap + chosen.retrain_on_drift
    return list(specs.values())


@pytest.mark.parametrize(
    ("stack", "objects"),
    [
        ("dev", OBJECTS | SECRET | FIRST),
        ("staging", OBJECTS | SECRET_OF_AWS | FIRST | ON_DRIFT),
        ("prod", OBJECTS | SECRET_OF_AWS | ON_DRIFT),
    ],
)
def test_it_is_exactly_these_objects(stack: str, objects: set[tuple[str, str]]) -> None:
    assert children(recorded(stack), "training") == objects


@pytest.mark.parametrize("stack", STACKS)
def test_the_schedule(stack: str) -> None:
    spec = manifest(stack, "CronJob", "training")["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 1 * * 0", "Etc/UTC", "Forbid")
    assert "suspend" not in spec
    assert spec["startingDeadlineSeconds"] == 3600
    assert job(stack, "training")["activeDeadlineSeconds"] == 7200
    assert job(stack, "training")["backoffLimit"] == 3


@pytest.mark.parametrize("stack", STACKS)
def test_the_template_for_people_never_starts_by_itself_and_trains_on_the_same(stack: str) -> None:
    assert manifest(stack, "CronJob", "training-on-demand")["spec"]["suspend"] is True
    scheduled, asked = (job(stack, name)["template"]["spec"] for name in BOTH)
    assert scheduled["containers"] == asked["containers"]
    assert "nodeSelector" not in asked
    assert "tolerations" not in asked


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_the_first_run_promotes_and_is_waited_for(stack: str) -> None:
    first = find(recorded(stack), "Job", "training-first").manifest()
    spec = first["spec"]
    assert first["metadata"]["annotations"] == {
        "pulumi.com/timeoutSeconds": "1860",  # its deadline, and time to say so
        "pulumi.com/replaceUnready": "true",
    }
    assert spec["activeDeadlineSeconds"] == 1800
    assert "ttlSecondsAfterFinished" not in spec, "Pulumi would miss it"
    container = spec["template"]["spec"]["containers"][0]
    assert container["args"][-1] == "--first"
    assert "nodeSelector" not in spec["template"]["spec"]
    assert all("--first" not in job(stack, name)["template"]["spec"]["containers"][0]["args"] for name in BOTH)


@pytest.mark.parametrize("stack", STACKS)
def test_the_component_comes_after_the_registry(stack: str) -> None:
    component = next(item for item in recorded(stack).resources if item.type == "churn:workloads:Training")
    assert any(urn.endswith("::mlflow-deployment") for urn in component.depends_on)


def test_drift_is_asked_for_every_hour_and_no_first_version_is_promoted_by_it() -> None:
    assert manifest("prod", "CronJob", "training-on-drift")["spec"]["schedule"] == "20 * * * *"
    (container,) = job("prod", "training-on-drift")["template"]["spec"]["containers"]
    asked = ["--when-drifting", "http://prometheus.churn-monitoring.svc:9090", "--not-within-hours", "24"]
    assert container["args"][2:] == asked
    scheduled = job("prod", "training")["template"]["spec"]["containers"][0]["resources"]
    # The question is asked 24 times a day, so no node is started for it; a training that follows has the usual limits.
    small = {"cpu": "50m", "memory": "256Mi", "ephemeral-storage": "64Mi"}
    assert container["resources"] == {"requests": small, "limits": scheduled["limits"]}
    assert scheduled["requests"]["cpu"] not in small.values()


def test_an_interruption_is_tried_again_and_bad_data_or_a_refusal_is_not() -> None:
    rules = job("prod", "training")["podFailurePolicy"]["rules"]
    final = {retrain.EXIT_CODES["bad_input"], retrain.EXIT_CODES["refused"]}
    bad = {"containerName": "training", "operator": "In", "values": sorted(final)}
    assert rules == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": bad},
    ]
    assert all(spec["restartPolicy"] == "Never" for stack in STACKS for spec in pods(stack)), "the rules need it"


@pytest.mark.parametrize(("stack", "spot"), [("dev", False), ("staging", True), ("prod", True)])
def test_the_schedule_is_on_spot_nodes_where_there_are_any(stack: str, spot: bool) -> None:  # noqa: FBT001 - a parameter
    spec = job(stack, "training")["template"]["spec"]
    toleration = {"key": "churn.io/spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
    assert spec.get("nodeSelector") == ({"churn.io/capacity": "spot"} if spot else None)
    assert spec.get("tolerations") == ([toleration] if spot else None)


def test_spot_can_be_switched_off() -> None:
    spec = pod_specs(record_with("prod", training={"spot": False}))["CronJob/training"]
    assert "nodeSelector" not in spec


@pytest.mark.parametrize(
    ("stack", "arguments"),
    [
        ("dev", ["--rows", "20000"]),
        ("staging", ["--rows", "100000"]),
        ("prod", ["--data", "s3://churn-prod-data-000000000000-eu-central-1/customers.parquet"]),
    ],
)
def test_the_program_takes_what_it_is_given(stack: str, arguments: list[str]) -> None:
    for spec in pods(stack):
        (container,) = spec["containers"]
        assert container["command"] == ["python", "-m", retrain.__name__]
        assert container["args"][:2] == arguments
        retrain.Options.parse(container["args"])
        assert container["image"].startswith(f"{own_image(stack, 'training')}@sha256:")


@pytest.mark.parametrize("stack", STACKS)
def test_its_environment(stack: str) -> None:
    for spec in pods(stack):
        env = {variable["name"]: variable["value"] for variable in spec["containers"][0]["env"]}
        assert env["MLFLOW_TRACKING_URI"] == "http://mlflow.churn-mlops.svc:5000"
        assert env["PUSHGATEWAY_URL"] == "http://pushgateway.churn-monitoring.svc:9091"
        assert env["CHURN_ACTOR"] == "training"
        assert {env["HOME"], env["MPLCONFIGDIR"]} == {"/tmp", "/tmp/matplotlib"}  # noqa: S108 - paths in the pod
        limit = settings(stack).training.resources.cpu_limit
        assert env["OMP_NUM_THREADS"] == str(training.threads(limit)) == limit


@pytest.mark.parametrize("stack", STACKS)
def test_its_pods_are_hardened_and_the_login_is_two_files(stack: str) -> None:
    for spec in pods(stack):
        assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("training", False)
        assert spec["securityContext"]["runAsNonRoot"] is True
        (container,) = spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert all(set(variable) == {"name", "value"} for variable in container["env"])
        writable = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"] if not mount["readOnly"]}
        assert writable == {"/tmp": "tmp"}  # noqa: S108 - a path in the pod
        login, scratch = spec["volumes"]
        assert set(login) == {"name", "secret" if stack == "dev" else "csi"}
        assert scratch == {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}
        limits = container["resources"]["limits"]
        assert limits["memory"] == settings(stack).training.resources.memory_limit
        assert limits["ephemeral-storage"] == "3Gi", "more than the scratch volume may hold"


@pytest.mark.parametrize(
    ("limit", "count"),
    [("1", 1), ("4", 4), ("500m", 1), ("1500m", 1), ("2000m", 2), ("2.5", 2), ("0.5", 1), ("10", 10)],
)
def test_threads_are_the_whole_cpus_of_the_limit(limit: str, count: int) -> None:
    assert training.threads(limit) == count
