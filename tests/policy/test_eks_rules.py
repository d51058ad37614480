"""Every rule about the cluster holds for the AWS stacks and for managed nodes, and finds its failing case."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from support import eks_rules as rules
from support.eks_recordings import RECORDINGS, Rule
from support.recorder import named, recorded

from ops.stack import eks_component
from ops.stack.recording import Recording

RULES: list[Rule] = [
    rules.nothing_unseen,
    rules.nobody_joins,
    rules.exact_addons,
    rules.launches_with_tags,
]


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, name: str) -> None:
    assert rule(RECORDINGS[name]()) == []


def with_options(**options: Any) -> Recording:
    """Staging whose component has other options, with what it then makes."""
    recording = recorded("staging")
    (component,) = [item for item in recording.resources if item.type == eks_component.TYPE]
    changed = {key: value for key, value in {**component.inputs, **options}.items() if value is not None}
    sample = named(recording, f"{component.name}-eksCluster")
    urns = {"": component.urn}
    parts = []
    for part in eks_component.parts(component.name, changed):
        urns[part.name] = f"{urns[part.parent]}${part.type}::{part.name}"
        parent, inputs = urns[part.parent], part.inputs
        parts.append(replace(sample, urn=urns[part.name], type=part.type, name=part.name, parent=parent, inputs=inputs))
    others = [item for item in recording.resources if item.parent != component.urn]
    return replace(recording, resources=[*others, *parts])


PREVIOUSLY = {"skipDefaultNodeGroup": None, "createInstanceRole": None, "corednsAddonOptions": None}
"""The options that Auto Mode was created without: the component then makes eight resources more (pulumi-eks #1726)."""


def test_without_the_options_the_component_makes_eight_resources_more() -> None:
    unseen = rules.nothing_unseen(with_options(**PREVIOUSLY))
    kinds = sorted(line.partition(" ")[0].rpartition(":")[2] for line in unseen)
    # The eighth is the access entry, of a type that the component may make for people.
    assert kinds == ["Addon", "InstanceProfile", "Role", *["RolePolicyAttachment"] * 3, "ServiceRole"]
    assert rules.nobody_joins(with_options(**PREVIOUSLY)) == [
        "compute-cluster-eks-defaultNodeGroupInstanceRole: EC2_LINUX"
    ]
    assert rules.exact_addons(with_options(**PREVIOUSLY)) == [f"compute-cluster-eks-coredns: {eks_component.NEWEST}"]
    assert len(with_options(**PREVIOUSLY).resources) == len(recorded("staging").resources) + 8


def test_each_option_takes_away_its_part() -> None:
    assert rules.exact_addons(with_options(corednsAddonOptions=None)) != []
    assert rules.nobody_joins(with_options(skipDefaultNodeGroup=None, createInstanceRole=None)) != []
    assert rules.nothing_unseen(with_options(createInstanceRole=True)) != []


def test_people_get_an_entry_and_its_policies() -> None:
    scope = {"type": "cluster"}
    entry = {"principalArn": "arn:x", "accessPolicies": {"admin": {"policyArn": "arn:y", "accessScope": scope}}}
    names = {item.name for item in with_options(accessEntries={"admin-1": entry}).resources}
    assert {"compute-cluster-eks-admin-1", "compute-cluster-eks-admin-1-admin"} <= names


@pytest.mark.parametrize(
    "options", [{"fargate": True}, {"serviceRole": None}, {"authenticationMode": "CONFIG_MAP"}, {"autoMode": None}]
)
def test_an_option_whose_resources_are_not_described_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match="is not described here"):
        with_options(**options)


def test_a_launch_without_the_right_to_tag_spot_requests_is_found() -> None:
    recording = copy.deepcopy(recorded("staging"))
    for item in recording.resources:
        if item.name == "compute-cluster-roles-cluster-own":
            document = json.loads(item.inputs["policy"])
            for statement in document["Statement"]:
                statement["Resource"] = [arn for arn in statement["Resource"] if "spot-instances" not in arn]
            item.inputs["policy"] = json.dumps(document)
    missing = ["ec2:CreateFleet: spot-instances-request", "ec2:RunInstances: spot-instances-request"]
    assert rules.launches_with_tags(recording) == missing
