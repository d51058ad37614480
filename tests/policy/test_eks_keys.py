"""Nodes and volumes may use the key that encrypts them, with Auto Mode and with managed nodes; each rule can fail."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from support import eks_key_rules as rules
from support.eks_recordings import RECORDINGS, Rule, managed
from support.recorder import named, with_inputs

from ops.stack.recording import Recording

RULES: list[Rule] = [rules.nodes_have_their_key, rules.volumes_have_their_key, rules.addon_roles_trust_tokens]


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, name: str) -> None:
    assert rule(RECORDINGS[name]()) == []


def without(recording: Recording, name: str, sids: set[str]) -> Recording:
    """A recording in which one document lacks statements."""

    def change(inputs: dict[str, Any]) -> None:
        document = json.loads(inputs["policy"])
        document["Statement"] = [each for each in document["Statement"] if each["Sid"] not in sids]
        inputs["policy"] = json.dumps(document)

    return with_inputs(recording, named(recording, name), change)


@pytest.mark.parametrize("sid", ["Launch", "LaunchWithDisks"])
def test_a_key_that_auto_scaling_may_not_use_is_found(sid: str) -> None:
    lines = rules.nodes_have_their_key(without(managed(), "keys-data", {sid}))
    assert lines
    assert all(line.startswith("compute-nodes-template: kms:") for line in lines)


@pytest.mark.parametrize("sid", ["UseKey", "GrantKey"])
@pytest.mark.parametrize(
    ("name", "policy"), [("managed", "compute-volumes-policy"), ("staging", "compute-cluster-roles-cluster-own")]
)
def test_a_key_that_the_driver_may_not_use_is_found(name: str, policy: str, sid: str) -> None:
    assert rules.volumes_have_their_key(without(RECORDINGS[name](), policy, {sid})) != []


def test_only_managed_nodes_open_the_key_to_auto_scaling() -> None:
    """A key's policy that names a role of a fresh account, which lacks it, would be refused there."""
    for name, expected in (("staging", False), ("managed", True)):
        key = named(RECORDINGS[name](), "keys-data")
        assert (rules.AUTO_SCALING in key.inputs["policy"]) is expected


def test_an_annotation_beside_an_association_is_found() -> None:
    recording = copy.deepcopy(managed())
    roles = {item.name: item.outputs["arn"] for item in recording.resources if item.type == "aws:iam/role:Role"}
    (addon,) = [item for item in recording.resources if item.inputs.get("addonName") == "aws-ebs-csi-driver"]
    addon.inputs["serviceAccountRoleArn"] = roles["compute-volumes-role"]
    assert rules.addon_roles_trust_tokens(recording) == [addon.name]
