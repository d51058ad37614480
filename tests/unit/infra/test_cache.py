"""The cache: in memory only, bounded, and open only to the users in its file."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import children, manifest, record_with, recorded
from support.rollout_rules import OLD_FIRST

from infra.workloads.cache import arguments, login_check, memory_limit_mib

AWS = ("staging", "prod")


def pod(stack: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(stack, "Deployment", "cache")["spec"]["template"]["spec"]
    return spec


def container(stack: str) -> dict[str, Any]:
    (only,) = pod(stack)["containers"]
    return dict(only)


@pytest.mark.parametrize("stack", AWS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    assert children(recorded(stack), "cache") == {
        ("Deployment", "cache-deployment"),
        ("SecretProviderClass", "cache-cache-login-provider-class"),
        ("Service", "cache-service"),
        ("ServiceAccount", "cache-account"),
    }


def test_it_is_optional() -> None:
    assert not [item.name for item in recorded("dev").resources if item.type == "churn:workloads:Cache"]
    with_cache = record_with("dev", cache={"enabled": True})
    assert ("Secret", "cache-cache-login-secret") in children(with_cache, "cache")


def test_arguments() -> None:
    assert arguments(128) == [
        *("--port", "6379"),
        *("--aclfile", "/run/secrets/churn/cache/users.acl"),
        *("--maxmemory", "128mb"),
        *("--maxmemory-policy", "allkeys-lru"),
        *("--save", ""),
        *("--appendonly", "no"),
    ]


@pytest.mark.parametrize(("data", "limit"), [(16, 68), (64, 128), (65, 130), (128, 208), (256, 368)])
def test_the_limit_leaves_room_beside_the_data(data: int, limit: int) -> None:
    assert memory_limit_mib(data) == limit


@pytest.mark.parametrize(("stack", "limit"), [("staging", "208Mi"), ("prod", "368Mi")])
def test_size(stack: str, limit: str) -> None:
    resources = container(stack)["resources"]
    assert resources["limits"]["memory"] == resources["requests"]["memory"] == limit
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("50m", "500m")


@pytest.mark.parametrize("stack", AWS)
def test_one_pod_at_a_time(stack: str) -> None:
    spec = manifest(stack, "Deployment", "cache")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, OLD_FIRST)


@pytest.mark.parametrize("stack", AWS)
def test_pod(stack: str) -> None:
    assert pod(stack)["automountServiceAccountToken"] is False
    assert pod(stack)["securityContext"]["fsGroup"] == 999, "its user must be able to read the users' file"
    assert container(stack)["securityContext"]["runAsUser"] == 999
    assert container(stack)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(stack)["command"] == ["valkey-server"]
    assert "env" not in container(stack)
    (mount,) = container(stack)["volumeMounts"]
    assert (mount["name"], mount["mountPath"], mount["readOnly"]) == ("cache-login", "/run/secrets/churn/cache", True)
    for probe in ("startupProbe", "livenessProbe"):
        assert container(stack)[probe]["tcpSocket"] == {"port": "redis"}
    # It is ready once the API's own login works; a restart would not mend a secret.
    assert container(stack)["readinessProbe"]["exec"]["command"] == login_check("/run/secrets/churn/cache/redis_url")


@pytest.mark.parametrize("stack", AWS)
def test_service(stack: str) -> None:
    service = manifest(stack, "Service", "cache")["spec"]
    assert service["type"] == "ClusterIP"
    assert [(port["name"], port["port"]) for port in service["ports"]] == [("redis", 6379)]


def test_the_api_finds_its_login_where_the_cache_is_on() -> None:
    with_cache = record_with("dev", cache={"enabled": True})
    for recording, on in ((recorded("dev"), False), (with_cache, True)):
        deployment = next(item for item in recording.resources if item.name == "api-deployment")
        (api,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
        env = {variable["name"]: variable["value"] for variable in api["env"]}
        assert ("SETTINGS_DIR" in env) == on
        assert (env.get("SETTINGS_DIR") in {mount["mountPath"] for mount in api["volumeMounts"]}) == on
