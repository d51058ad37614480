"""Grafana: secrets in files, no anonymous access, no calls home, dashboards from the repository."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from support.recorder import STACKS, children, find, manifest, record_with, recorded
from support.rollout_rules import OLD_FIRST

import dashboards
from infra.connections import LOGIN_LIMITS
from infra.versions import PUBLIC

OBJECTS = {
    ("ConfigMap", "grafana-dashboards"),
    ("ConfigMap", "grafana-datasources"),
    ("ConfigMap", "grafana-providers"),
    ("Deployment", "grafana-deployment"),
    ("Service", "grafana-service"),
    ("ServiceAccount", "grafana-account"),
}
SECRETS = ("grafana-admin", "postgres-grafana")
IN_KUBERNETES = {("Secret", f"grafana-{secret}-secret") for secret in SECRETS}
IN_AWS = {("SecretProviderClass", f"grafana-{secret}-provider-class") for secret in SECRETS}


def pod(stack: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(stack, "Deployment", "grafana")["spec"]["template"]["spec"]
    return spec


def env(stack: str) -> dict[str, str]:
    variables = pod(stack)["containers"][0]["env"]
    assert all(set(variable) == {"name", "value"} for variable in variables)
    return {variable["name"]: variable["value"] for variable in variables}


def files(stack: str, role: str) -> dict[str, str]:
    data: dict[str, str] = find(recorded(stack), "ConfigMap", f"grafana-{role}").inputs["data"]
    return data


@pytest.mark.parametrize(("stack", "secrets"), [("dev", IN_KUBERNETES), ("staging", IN_AWS), ("prod", IN_AWS)])
def test_it_is_exactly_these_objects(stack: str, secrets: set[tuple[str, str]]) -> None:
    budget = {("PodDisruptionBudget", "grafana-budget")} if stack == "prod" else set()
    assert children(recorded(stack), "grafana") == OBJECTS | secrets | budget


@pytest.mark.parametrize("stack", STACKS)
def test_its_pod(stack: str) -> None:
    spec = manifest(stack, "Deployment", "grafana")["spec"]
    (container,) = pod(stack)["containers"]
    assert (spec["replicas"], spec["strategy"]) == (2 if stack == "prod" else 1, OLD_FIRST)
    assert pod(stack)["securityContext"]["runAsUser"] == 472
    assert pod(stack)["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount["readOnly"]}
    assert written == {"/var/lib/grafana", "/var/log/grafana", "/tmp"}  # noqa: S108 - a path in the pod
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    # Liveness checks only the process: without its database Grafana is not ready, but a restart would not help.
    assert paths == {"startup": "/api/health", "readiness": "/api/health", "liveness": "/healthz"}
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "1Gi"}


@pytest.mark.parametrize("stack", STACKS)
def test_every_secret_is_a_file_that_is_mounted(stack: str) -> None:
    files = {
        name: value.removeprefix("$__file{").removesuffix("}")
        for name, value in env(stack).items()
        if value.startswith("$__file{")
    }
    assert files == {
        "GF_DATABASE_PASSWORD": "/run/secrets/churn/postgres/password",
        "GF_DATABASE_USER": "/run/secrets/churn/postgres/username",
        "GF_SECRETS_MANAGER_ENCRYPTION_SECRET_KEY_V1_SECRET_KEY": "/run/secrets/churn/grafana-admin/secret_key",
        "GF_SECURITY_ADMIN_PASSWORD": "/run/secrets/churn/grafana-admin/password",
        "GF_SECURITY_ADMIN_USER": "/run/secrets/churn/grafana-admin/username",
        "GF_SECURITY_SECRET_KEY": "/run/secrets/churn/grafana-admin/secret_key",
    }
    # The image's start script replaces these for the server alone, not for `grafana cli` in the same container.
    assert not [name for name in env(stack) if name.endswith("__FILE")]
    mounts = {mount["name"]: mount for mount in pod(stack)["containers"][0]["volumeMounts"]}
    assert mounts["grafana-admin"]["mountPath"] == "/run/secrets/churn/grafana-admin"
    assert mounts["postgres-grafana"]["mountPath"] == "/run/secrets/churn/postgres"
    assert mounts["grafana-admin"]["readOnly"]
    assert mounts["postgres-grafana"]["readOnly"]


@pytest.mark.parametrize(
    ("stack", "host", "mode"),
    [
        ("dev", "postgres.churn-mlops.svc:5432", "disable"),
        ("staging", "postgres.rds.example.com:5432", "verify-full"),
        ("prod", "postgres.rds.example.com:5432", "verify-full"),
    ],
)
def test_its_database(stack: str, host: str, mode: str) -> None:
    variables = env(stack)
    assert (variables["GF_DATABASE_TYPE"], variables["GF_DATABASE_NAME"]) == ("postgres", "grafana")
    assert (variables["GF_DATABASE_HOST"], variables["GF_DATABASE_SSL_MODE"]) == (host, mode)
    assert (variables["GF_DATABASE_MAX_OPEN_CONN"], variables["GF_DATABASE_MAX_IDLE_CONN"]) == ("5", "2")


def test_links_to_runbooks_are_absolute_or_missing() -> None:
    def links(docs_url: str) -> list[str]:
        recording = record_with("dev", alertmanager={"docs_url": docs_url})
        texts = find(recording, "ConfigMap", "grafana-dashboards").inputs["data"].values()
        panels = [panel for text in texts for panel in json.loads(text)["panels"]]
        return [link["url"] for panel in panels for link in panel.get("links", [])]

    address = "https://git.example.com/churn/blob/main"
    assert len(links(address)) > 10
    assert {link.partition("/docs/runbooks/")[0] for link in links(address)} == {address}
    assert links("") == []


@pytest.mark.parametrize("stack", STACKS)
def test_both_of_its_pools_fit_into_the_limit_of_its_login(stack: str) -> None:
    # Core and unified storage open a pool each, with the same settings (grafana/grafana, `dbimpl.go`).
    replicas = manifest(stack, "Deployment", "grafana")["spec"]["replicas"]
    assert 2 * replicas * int(env(stack)["GF_DATABASE_MAX_OPEN_CONN"]) < LOGIN_LIMITS["grafana"]


@pytest.mark.parametrize("stack", STACKS)
def test_its_data_source_stays_as_the_image_has_it(stack: str) -> None:
    variables = env(stack)
    # On a read-only file system the installer unloads a bundled plugin and fails to replace it: grafana/grafana 132528.
    assert variables["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
    assert variables["GF_PLUGINS_PREINSTALL_AUTO_UPDATE"] == "false"


def test_its_version_does_not_lose_memory_with_each_compressed_head_request() -> None:
    major, minor, patch = (int(part) for part in PUBLIC["grafana"].rpartition(":")[2].split("."))
    fixed = {(13, 0): 8, (13, 1): 5, (13, 2): 1}  # grafana/grafana 132743
    assert patch >= fixed.get((major, minor), 0)
    assert (major, minor) >= min(fixed)


def test_it_comes_after_its_database() -> None:
    database = find(recorded("dev"), "StatefulSet", "postgres")
    (component,) = [resource for resource in recorded("dev").resources if resource.type == "churn:workloads:Grafana"]
    assert database.urn in component.depends_on


@pytest.mark.parametrize("stack", STACKS)
def test_there_is_no_anonymous_access_and_no_call_home(stack: str) -> None:
    variables = env(stack)
    on = {"GF_METRICS_ENABLED", "GF_SECURITY_COOKIE_SECURE", "GF_SECURITY_DISABLE_GRAVATAR"}
    off = {
        "GF_AUTH_ANONYMOUS_ENABLED", "GF_USERS_ALLOW_SIGN_UP", "GF_USERS_ALLOW_ORG_CREATE",
        "GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES", "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
        "GF_NEWS_NEWS_FEED_ENABLED", "GF_PLUGINS_PLUGIN_ADMIN_ENABLED", "GF_PLUGINS_PREINSTALL_AUTO_UPDATE",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED", "GF_CLOUD_MIGRATION_ENABLED", "GF_PUBLIC_DASHBOARDS_ENABLED",
    }  # fmt: skip
    assert {variables[name] for name in on | {"GF_PLUGINS_PREINSTALL_DISABLED"}} == {"true"}
    assert {variables[name] for name in off} == {"false"}


@pytest.mark.parametrize(
    ("stack", "domain"),
    [("dev", "churn.localhost"), ("staging", "staging.churn.example.com"), ("prod", "churn.example.com")],
)
def test_it_knows_its_address(stack: str, domain: str) -> None:
    assert env(stack)["GF_SERVER_ROOT_URL"] == recorded(stack).outputs["grafana_url"] == f"https://grafana.{domain}"


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_given_its_datasource_and_every_dashboard(stack: str) -> None:
    (source,) = yaml.safe_load(files(stack, "datasources")["prometheus.yaml"])["datasources"]
    answers = "thanos-query.churn-monitoring.svc:10902" if stack == "prod" else "prometheus.churn-monitoring.svc:9090"
    assert (source["type"], source["url"]) == ("prometheus", f"http://{answers}")
    assert (source["isDefault"], source["editable"]) == (True, False)
    (provider,) = yaml.safe_load(files(stack, "providers")["churn.yaml"])["providers"]
    places = {mount["name"]: mount["mountPath"] for mount in pod(stack)["containers"][0]["volumeMounts"]}
    assert provider["options"]["path"] == places["dashboards"]
    assert places["providers"] == "/etc/grafana/provisioning/dashboards"
    assert places["datasources"] == "/etc/grafana/provisioning/datasources"
    assert {name: json.loads(text) for name, text in files(stack, "dashboards").items()} == {
        f"{name}.json": dashboard for name, dashboard in dashboards.every().items()
    }


@pytest.mark.parametrize("role", ["dashboards", "datasources", "providers"])
def test_a_changed_dashboard_rolls_the_pod(role: str) -> None:
    config_map = find(recorded("dev"), "ConfigMap", f"grafana-{role}")
    assert "name" not in config_map.inputs["metadata"], "named by Pulumi after its content"
    used = {volume["name"]: volume["configMap"]["name"] for volume in pod("dev")["volumes"] if "configMap" in volume}
    assert used[role] == config_map.outputs["metadata"]["name"]
    assert len(json.dumps(config_map.inputs["data"])) < 500_000, "a ConfigMap holds at most 1 MiB"
