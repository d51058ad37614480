"""Drivers and the kinds they define come before what needs them, and go after it; each rule can fail."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from support import eks_order_rules as rules
from support.eks_recordings import RECORDINGS, Rule, managed
from support.recorder import recorded

from ops.stack.recording import Recording

RULES: list[Rule] = [rules.kinds_come_first, rules.drivers_outlive_pods, rules.drivers_outlive_volumes]


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, name: str) -> None:
    assert rule(RECORDINGS[name]()) == []


def cut(recording: Recording, addon: str) -> Recording:
    """A recording in which nothing waits for an add-on, or for the component that it is in."""
    (urn,) = [item.urn for item in recording.resources if item.inputs.get("addonName") == addon]
    (parent,) = [item.parent for item in recording.resources if item.urn == urn]
    gone = {urn, parent}
    resources = [
        replace(item, depends_on=tuple(other for other in item.depends_on if other not in gone))
        for item in recording.resources
    ]
    return replace(recording, resources=resources)


def test_what_does_not_wait_for_the_driver_of_secrets_is_found() -> None:
    recording = cut(recorded("staging"), "aws-secrets-store-csi-driver-provider")
    classes = [item for item in recording.resources if item.inputs.get("kind") == "SecretProviderClass"]
    assert len(rules.kinds_come_first(recording)) == len(classes) > 5
    assert "api-deployment: secrets-store.csi.k8s.io" in rules.drivers_outlive_pods(recording)


def test_a_claim_that_does_not_wait_for_the_driver_of_volumes_is_found() -> None:
    assert rules.drivers_outlive_volumes(cut(managed(), "aws-ebs-csi-driver")) != []


def test_a_kind_that_nobody_brings_is_found() -> None:
    recording = copy.deepcopy(recorded("staging"))
    for item in recording.resources:
        if item.inputs.get("kind") == "NodeClass":
            item.inputs["apiVersion"] = "example.com/v1"
    assert rules.kinds_come_first(recording) == ["NodeClass capacity-nodes: unknown"]
