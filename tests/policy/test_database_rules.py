"""Every client of a database outside the cluster verifies the server's name, with certificates that its pod has."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from support.database_rules import verified
from support.recorder import record_with, recorded

from ops.stack.recording import Recording

STACKS = ("staging", "prod")
CLIENTS = {
    "Deployment/mlflow mlflow", "Deployment/grafana grafana", "Deployment/postgres-exporter postgres-exporter",
    "CronJob/backup-postgres backup", "CronJob/mlflow-gc mlflow-gc", "CronJob/postgres-setup postgres-setup",
    "CronJob/restore-databases databases", "CronJob/restore-databases roles", "CronJob/restore-databases mlflow-users",
    "CronJob/restore-databases restore", "CronJob/restore-logins roles", "CronJob/restore-logins mlflow-users",
    "CronJob/restore-logins restore",
}  # fmt: skip
"""All but the two jobs of a deployment, whose names change with their content."""


@pytest.mark.parametrize("stack", STACKS)
def test_every_client_verifies_the_server(stack: str) -> None:
    violations, clients = verified(recorded(stack))
    assert violations == []
    jobs = {client for client in clients if client.startswith("Job/")}
    assert set(clients) - jobs == CLIENTS
    assert {job.partition(" ")[2] for job in jobs} == {"postgres-setup", "mlflow-migrate"}


def test_a_database_in_a_pod_has_no_certificate() -> None:
    assert verified(record_with("prod", database={"kind": "in-cluster"}))[1] == []


def changed(kind: str, name: str, old: str, new: str) -> Recording:
    recording = recorded("staging")
    resources = []
    for item in recording.resources:
        if item.inputs.get("kind") == kind and item.outputs["metadata"]["name"] == name:
            inputs: dict[str, Any] = json.loads(json.dumps(copy.deepcopy(item.inputs)).replace(old, new))
            assert inputs != item.inputs
            resources.append(replace(item, inputs=inputs))
        else:
            resources.append(item)
    return replace(recording, resources=resources)


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "reason"),
    [
        ("Deployment", "postgres-exporter", "verify-full", "require", "sslmode=require"),
        ("Deployment", "grafana", "verify-full", "require", "GF_DATABASE_SSL_MODE is require"),
        ("Deployment", "mlflow", "PGSSLROOTCERT", "ANOTHER", "no certificates"),
        ("CronJob", "backup-postgres", "/postgres/ca.pem", "/nowhere/ca.pem", "no certificates"),
        ("SecretProviderClass", "mlflow-postgres-mlflow", "ca.pem", "other.pem", "no certificates"),
    ],
)
def test_a_client_that_does_not_is_found(kind: str, name: str, old: str, new: str, reason: str) -> None:
    violations, _ = verified(changed(kind, name, old, new))
    assert len(violations) == 1
    assert reason in violations[0]
