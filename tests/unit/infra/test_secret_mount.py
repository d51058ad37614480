"""Secrets: a pod sees the same files wherever their values come from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.recorder import containers, find, pod_templates, recorded, settings

from infra import secret_files as s
from infra.workloads import alertmanager_config as alerting

SPECS = {spec.name: spec for spec in s.ALL}


def test_a_file_is_found_below_the_folder_of_its_workload_and_a_misspelt_one_is_refused() -> None:
    assert s.POSTGRES_MONITOR.file("password") == "/run/secrets/churn/postgres-monitor/password"
    assert s.POSTGRES_MONITOR.at("postgres").file("password") == "/run/secrets/churn/postgres/password"
    with pytest.raises(ValueError, match="postgres-monitor has no file passwd, only username, password"):
        s.POSTGRES_MONITOR.file("passwd")


def volumes(stack: str) -> list[tuple[str, dict[str, Any]]]:
    """Return every volume with one of our secrets, with the owner of its pod."""
    return [
        (owner, volume)
        for owner, template in pod_templates(recorded(stack))
        for volume in template["spec"].get("volumes", [])
        if volume["name"] in SPECS
    ]


def test_in_dev_they_come_from_kubernetes_secrets() -> None:
    mounted = volumes("dev")
    assert len(mounted) > 5
    for _, volume in mounted:
        assert volume["secret"]["defaultMode"] == 0o440
        secret = find(recorded("dev"), "Secret", volume["secret"]["secretName"])
        assert set(secret.inputs["stringData"]) == set(SPECS[volume["name"]].files)
        assert secret.inputs["type"] == "Opaque"
        assert "name" not in secret.inputs["metadata"], "named by Pulumi, so that pods roll when a value changes"


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_on_aws_they_come_through_the_csi_driver_by_a_class_that_the_pod_waits_for(stack: str) -> None:
    mounted = volumes(stack)
    assert len(mounted) > 5
    for owner, volume in mounted:
        assert volume["csi"]["driver"] == "secrets-store.csi.k8s.io"
        assert volume["csi"]["readOnly"] is True
        provider_class = find(
            recorded(stack), "SecretProviderClass", volume["csi"]["volumeAttributes"]["secretProviderClass"]
        )
        spec = SPECS[volume["name"]]
        (described,) = json.loads(provider_class.inputs["spec"]["parameters"]["objects"])
        by_rds = spec == s.POSTGRES_SUPERUSER
        own = f":secret:churn-{stack}/{spec.name}-recorded"
        assert described["objectName"].endswith(":secret:rds!db-recorded" if by_rds else own)
        files = [item["objectAlias"] for item in described["jmesPath"]]
        expected = alerting.secret_files(settings(stack).alertmanager) if spec == s.ALERT_RECEIVERS else spec.files
        trust = [s.CA_FILE] if spec.name.startswith("postgres-") and not by_rds else []
        assert files == [*expected, *trust]
        assert provider_class.inputs["spec"]["provider"] == "aws"
        kind, name = owner.split("/")
        assert provider_class.urn in find(recorded(stack), kind, name).depends_on


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_they_are_mounted_read_only_and_no_secret_becomes_a_kubernetes_secret_on_aws(stack: str) -> None:
    for owner, template in pod_templates(recorded(stack)):
        for container in containers(template):
            for mount in container.get("volumeMounts", []):
                assert mount["name"] not in SPECS or mount["readOnly"] is True, owner
    opaque = [
        item.name
        for item in recorded(stack).resources
        if item.is_kubernetes and item.inputs["kind"] == "Secret" and item.inputs["type"] == "Opaque"
    ]
    assert bool(opaque) == (stack == "dev")


def test_every_pod_mounts_the_same_secrets_in_the_same_places_in_every_stack() -> None:
    def places(stack: str) -> dict[str, set[tuple[str, str]]]:
        return {
            owner: {
                (mount["name"], mount["mountPath"])
                for container in containers(template)
                for mount in container.get("volumeMounts", [])
                if mount["name"] in SPECS
            }
            for owner, template in pod_templates(recorded(stack))
            if not owner.startswith("Job/")
        }

    staging, prod = places("staging"), places("prod")
    # Only prod has Thanos, which has no secret.
    assert staging == {owner: mounts for owner, mounts in prod.items() if "/thanos-" not in owner}
    assert not any(mounts for owner, mounts in prod.items() if "/thanos-" in owner)
    for owner, mounts in places("dev").items():
        optional = {"cache-login", "alert-receivers"}
        assert mounts == {item for item in staging.get(owner, mounts) if item[0] not in optional}, owner
