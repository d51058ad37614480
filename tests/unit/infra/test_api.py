"""The API's objects: scale, safe rollouts, and what its pod may do."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, children, find, manifest, record_with, recorded

from app.settings import Settings
from infra.config import ConfigError
from infra.workloads import api
from ops.stack.recording import Recording

OBJECTS = {
    ("Deployment", "api-deployment"),
    ("HorizontalPodAutoscaler", "api-autoscaler"),
    ("PodDisruptionBudget", "api-budget"),
    ("Service", "api-service"),
    ("ServiceAccount", "api-account"),
}
IN_KUBERNETES = {("Secret", "api-api-keys-secret"), ("Secret", "api-mlflow-api-secret")}
IN_AWS = {
    ("SecretProviderClass", "api-api-keys-provider-class"),
    ("SecretProviderClass", "api-cache-login-provider-class"),
    ("SecretProviderClass", "api-mlflow-api-provider-class"),
}


def pod(stack: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(stack, "Deployment", "api")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(("stack", "secrets"), [("dev", IN_KUBERNETES), ("staging", IN_AWS), ("prod", IN_AWS)])
def test_it_is_exactly_these_objects(stack: str, secrets: set[tuple[str, str]]) -> None:
    assert children(recorded(stack), "api") == OBJECTS | secrets


@pytest.mark.parametrize("stack", STACKS)
def test_scale(stack: str) -> None:
    spec = manifest(stack, "HorizontalPodAutoscaler", "api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    cpu = {"type": "Utilization", "averageUtilization": 70}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": cpu}}]
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert "replicas" not in manifest(stack, "Deployment", "api")["spec"]
    assert manifest(stack, "PodDisruptionBudget", "api")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("stack", "cpu", "memory"), [("dev", "100m", "256Mi"), ("staging", "500m", "512Mi"), ("prod", "500m", "512Mi")]
)
def test_size(stack: str, cpu: str, memory: str) -> None:
    resources = pod(stack)["containers"][0]["resources"]
    assert resources["requests"] == {"cpu": cpu, "memory": memory, "ephemeral-storage": "64Mi"}
    assert resources["limits"] == {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}


@pytest.mark.parametrize("stack", STACKS)
def test_a_rollout_takes_no_pod_away_before_another_serves(stack: str) -> None:
    deployment = manifest(stack, "Deployment", "api")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 0}
    container = pod(stack)["containers"][0]
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": api.PRE_STOP_SECONDS}}}
    assert pod(stack)["terminationGracePeriodSeconds"] > api.PRE_STOP_SECONDS + api.DRAIN_SECONDS


@pytest.mark.parametrize("stack", STACKS)
def test_probes(stack: str) -> None:
    container = pod(stack)["containers"][0]
    paths = {
        probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {"startupProbe": "/live", "readinessProbe": "/ready", "livenessProbe": "/live"}


@pytest.mark.parametrize("stack", STACKS)
def test_secrets_are_files_and_nothing_else(stack: str) -> None:
    container = pod(stack)["containers"][0]
    assert all(set(variable) == {"name", "value"} for variable in container["env"])
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount["readOnly"]}
    assert written == {api.MODEL_CACHE, "/tmp"}  # noqa: S108 - a path in the pod
    sources = {key for volume in pod(stack)["volumes"] for key in volume} - {"name"}
    assert sources == ({"emptyDir", "secret"} if stack == "dev" else {"emptyDir", "csi"})


@pytest.mark.parametrize("stack", STACKS)
def test_every_variable_is_a_setting_of_the_process(stack: str) -> None:
    known = {name.upper() for name in Settings.model_fields} | {"OMP_NUM_THREADS", "SETTINGS_DIR"}
    assert {variable["name"] for variable in pod(stack)["containers"][0]["env"]} <= known


def test_it_spreads_over_zones_where_there_are_several() -> None:
    strict = {stack: pod(stack)["topologySpreadConstraints"][0]["whenUnsatisfiable"] for stack in STACKS}
    assert strict == {"dev": "ScheduleAnyway", "staging": "DoNotSchedule", "prod": "DoNotSchedule"}


def test_without_a_cache_there_is_no_trace_of_it_and_with_one_its_login_is_a_file() -> None:
    assert "SETTINGS_DIR" not in {variable["name"] for variable in pod("dev")["containers"][0]["env"]}
    cached = children(record_with("dev", cache={"enabled": True}), "api")
    assert ("Secret", "api-cache-login-secret") in cached


def variables(recording: Recording) -> dict[str, str]:
    spec = find(recording, "Deployment", "api").manifest()["spec"]["template"]["spec"]
    return {one["name"]: one.get("value", "") for one in spec["containers"][0]["env"]}


def origins(recording: Recording) -> str:
    return variables(recording)["CORS_ORIGINS"]


def test_it_serves_the_models_that_the_stack_names() -> None:
    assert [stack for stack in STACKS if "MODELS" in variables(recorded(stack))] == []
    assert "MODELS" not in variables(record_with("dev", api={"models": ["churn"]}))
    text = variables(record_with("dev", api={"models": ["churn", "retention-offer"]}))["MODELS"]
    assert Settings(auth="off", models=text).model_names == ("churn", "retention-offer")


def test_a_stack_may_serve_one_model_of_another_name() -> None:
    assert variables(record_with("dev", api={"models": ["retention-offer"]}))["MODELS"] == "retention-offer"


def test_no_web_page_may_call_it_unless_the_stack_names_its_origin() -> None:
    assert {origins(recorded(stack)) for stack in STACKS} == {""}
    pages = ["https://shop.example", "http://localhost:3000"]
    assert origins(record_with("dev", api={"cors_origins": pages})) == " ".join(pages)


@pytest.mark.parametrize("origin", ["*", "https://*.shop.example", "https://shop.example/", "https://shop.example:443"])
def test_what_is_not_an_exact_origin_is_refused_before_anything_is_made(origin: str) -> None:
    with pytest.raises(ConfigError, match="origin of a web page"):
        record_with("dev", api={"cors_origins": [origin]})
