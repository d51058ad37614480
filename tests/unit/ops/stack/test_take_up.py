"""A deployment that was killed: its lock goes, and what exists under a name of ours comes into the state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from support.eks_recordings import RECORDINGS

from ops.errors import TemporaryError
from ops.stack.take_up import PROBES, probe, take_up
from ops.stack.unfinished import ONLY_IN_THE_STATE

CLUSTER = {"urn": "urn:cluster", "type": "aws:eks/cluster:Cluster", "inputs": {"name": "churn-staging"}}
DATABASE = {"urn": "urn:database", "type": "aws:rds/instance:Instance", "inputs": {"identifier": "churn-staging"}}
NETWORK = {"urn": "urn:vpc", "type": "aws:ec2/vpc:Vpc", "inputs": {"cidrBlock": "10.20.0.0/16"}}
POD = {
    "urn": "urn:api",
    "type": "kubernetes:apps/v1:Deployment",
    "inputs": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "churn-serving"},
    },
}


class Commands:
    """Pulumi, AWS and kubectl, of which only some find what they look for."""

    def __init__(self, pending: list[dict[str, Any]], *existing: str, exported: tuple[int, str] | None = None) -> None:
        self.exported = exported or (0, json.dumps({"deployment": {"pending_operations": pending}}))
        self.existing, self.calls = existing, []  # type: tuple[str, ...], list[list[str]]

    def __call__(self, words: Sequence[str]) -> tuple[int, str]:
        self.calls.append(list(words))
        if words[:3] == ["pulumi", "stack", "export"]:
            return self.exported
        return (0, "") if words[0] == "pulumi" or any(name in words for name in self.existing) else (254, "not found")


def creating(*resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "creating", "resource": resource} for resource in resources]


def test_what_exists_is_taken_into_the_state_and_nothing_else_is_read() -> None:
    commands = Commands(creating(CLUSTER, NETWORK, DATABASE, POD), "describe-cluster", "wait", "get")
    lines = list(take_up("staging", commands))
    assert [line.rpartition(": ")[2] for line in lines] == [
        "exists (churn-staging)", "urn:vpc", "does not exist (churn-staging)", "exists (churn-serving/api)",
    ]  # fmt: skip
    assert ["aws", "eks", "wait", "cluster-active", "--name", "churn-staging"] in commands.calls
    assert not any("db-instance-available" in words for words in commands.calls)
    refresh = commands.calls[-1]
    assert refresh[:5] == ["pulumi", "refresh", "--yes", "--stack", "staging"]
    targets = [refresh[at + 1] for at, word in enumerate(refresh) if word == "--target"]
    imports = [refresh[at + 1] for at, word in enumerate(refresh) if word == "--import-pending-creates"]
    assert targets == ["urn:cluster", "urn:api"]
    assert imports == ["urn:cluster", "churn-staging", "urn:api", "churn-serving/api"]


def test_the_lock_goes_even_if_nothing_is_unfinished() -> None:
    commands = Commands([])
    assert list(take_up("staging", commands)) == []
    assert commands.calls[1:] == [["pulumi", "cancel", "--yes", "--stack", "staging"]]


def test_what_was_updating_or_deleting_is_left_to_the_next_up() -> None:
    commands = Commands([{"type": kind, "resource": CLUSTER} for kind in ("updating", "deleting")], "describe-cluster")
    assert len(list(take_up("staging", commands))) == 2
    assert [words[:2] for words in commands.calls] == [["pulumi", "stack"], ["pulumi", "cancel"]]


def test_a_stack_that_does_not_exist_is_no_failure_and_any_other_is() -> None:
    missing = Commands([], exported=(255, "error: no stack named 'staging' found"))
    assert list(take_up("staging", missing)) == ["staging does not exist yet"]
    with pytest.raises(TemporaryError, match="ExpiredToken"):
        list(take_up("staging", Commands([], exported=(255, "error: ExpiredToken"))))


def test_everything_with_a_name_of_ours_is_looked_for() -> None:
    """A kind whose physical name the program sets would be refused as a double, unless the state learns of it."""
    named = {
        item.type
        for recording in RECORDINGS.values()
        for item in recording().resources
        if item.type.startswith("aws:") and item.type in PROBES and probe({"type": item.type, "inputs": item.inputs})
    }
    # Roles and node groups are named by Pulumi, which writes the name into the inputs only as it creates them.
    assert set(PROBES) - named == {"aws:iam/role:Role", "aws:eks/nodeGroup:NodeGroup"}
    assert not any(kind.startswith(ONLY_IN_THE_STATE) for kind in PROBES)
