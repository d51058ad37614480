"""The stand-ins for kubectl and pulumi refuse what the tools refuse."""

from __future__ import annotations

import pytest
from support.desk import Desk

from infra.naming import MLOPS

LISTED = ("get", "deployments", "--output=json")


@pytest.fixture
def deployed(desk: Desk) -> Desk:
    desk.add_cluster("desk", "https://127.0.0.1:6443", "docker-desktop", objects="0.1.0")
    return desk


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("get", "deployment", "--all-namespaces", "--output=json"), 'doesn\'t have a resource type "deployment"'),
        (("get", "deployments.batch", "--all-namespaces", "--output=json"), 'resource type "deployments.batch"'),
        ((*LISTED, "--all-namespaces=false"), "does not know"),
        ((*LISTED, "--all-namespaces=yes"), 'invalid argument "yes" for "--all-namespaces" flag'),
        ((*LISTED, "--all-namespaces", "--selector"), "flag needs an argument: --selector"),
        (("--namespace", MLOPS, "rollout", "status", "deployment/api"), 'deployments.apps "api" not found'),
        (("--namespace", "default", "rollout", "status", "deployment/mlflow"), 'deployments.apps "mlflow" not found'),
    ],
)
def test_kubectl_refuses(deployed: Desk, words: tuple[str, ...], message: str) -> None:
    refused = deployed.run("kubectl", *words)
    assert (refused.returncode, message in refused.stderr) == (1, True), refused.stderr


@pytest.mark.parametrize(("label", "count"), [("app.kubernetes.io/part-of=churn", 1), ("part-of=churn", 0)])
def test_kubectl_lists_what_has_the_label(deployed: Desk, label: str, count: int) -> None:
    listed = deployed.run("kubectl", *LISTED, "--all-namespaces", f"--selector={label}")
    assert listed.stdout.count("mlflow") == count


def test_pulumi_refuses_without_a_backend_a_passphrase_or_the_stack(desk: Desk) -> None:
    up = ("pulumi", "up", "--stack", "dev", "--yes")
    assert "PULUMI_ACCESS_TOKEN must be set for login" in desk.run(*up).stderr
    desk.set("PULUMI_BACKEND_URL", "file:///nowhere")
    assert "passphrase must be set" in desk.run(*up).stderr
    desk.set("PULUMI_CONFIG_PASSPHRASE", "")
    assert desk.run(*up).stderr == "error: no stack named 'dev' found\n"
    desk.run("pulumi", "stack", "select", "--create", "dev")
    outputs = desk.run("pulumi", "stack", "output", "--stack", "dev", "--show-secrets", "--json")
    assert outputs.stdout == "{}"
