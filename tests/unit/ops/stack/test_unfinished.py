"""Only what was being created may be deleted after a crash; the command lists all unfinished operations."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from ops.errors import ExitCode, OpsError
from ops.stack import unfinished


def operation(what: str, of_type: str = "kubernetes:apps/v1:Deployment", **inputs: Any) -> dict[str, Any]:
    resource = {"urn": f"urn:pulumi:dev::churn::{of_type}::it", "type": of_type, "inputs": inputs}
    return {"type": what, "resource": resource}


def manifest(version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def exported(*pending: dict[str, Any]) -> str:
    return json.dumps({"version": 3, "deployment": {"pending_operations": list(pending)}})


@pytest.mark.parametrize("what", ["updating", "deleting", "reading", "importing"])
def test_what_the_state_knows_is_never_deleted(what: str) -> None:
    api = operation(what, **manifest("apps/v1", "Deployment", "api", "churn-serving"))
    [line] = unfinished.steps(unfinished.operations(exported(api)))
    assert line == f"# {what}, leave it alone, the state knows it: {api['resource']['urn']}"


def test_each_object_that_was_being_created_has_a_command() -> None:
    pending = [
        operation("creating", **manifest("apps/v1", "Deployment", "api", "churn-serving")),
        operation("updating", **manifest("apps/v1", "Deployment", "mlflow", "churn-mlops")),
        operation("creating", "kubernetes:core/v1:ConfigMap", **manifest("v1", "ConfigMap", "rules-1a", "churn-mlops")),
        operation("creating", "kubernetes:core/v1:Namespace", **manifest("v1", "Namespace", "churn-nodes")),
    ]
    lines = list(unfinished.steps(unfinished.operations(exported(*pending))))
    assert [line for line in lines if not line.startswith("#")] == [
        "kubectl delete deployment.apps api --namespace churn-serving --ignore-not-found",
        "kubectl delete configmap rules-1a --namespace churn-mlops --ignore-not-found",
        "kubectl delete namespace churn-nodes --ignore-not-found",
    ]
    assert len(lines) == len(pending)


def test_the_context_is_named_where_it_is_not_the_current_one() -> None:
    pending = [operation("creating", **manifest("v1", "Secret", "it", "one"))]
    [line] = unfinished.steps(pending, "kind-churn")
    assert line == "kubectl --context kind-churn delete secret it --namespace one --ignore-not-found"


def test_what_is_not_an_object_of_the_cluster_is_a_comment() -> None:
    password = operation("creating", "random:index/randomPassword:RandomPassword")
    here, there = unfinished.steps([password, operation("creating", "aws:s3/bucket:Bucket")])
    assert here.startswith("# creating, exists nowhere but in the state")
    assert there.startswith("# creating, look it up at its provider")


def test_without_unfinished_operations_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(exported()))
    assert unfinished.main([]) == ExitCode.DONE
    assert capsys.readouterr().out == "# nothing is unfinished\n"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"deployment": 1}', "pulumi: no stack"])
def test_anything_else_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OpsError, match="no exported stack"):
        unfinished.operations(text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert unfinished.main([]) == ExitCode.BAD_INPUT
    assert capsys.readouterr().err.startswith("Error: ")
