"""Rules over the cluster of a recorded stack on AWS: each takes a recording and returns one line per violation."""

from __future__ import annotations

import json
import re
from typing import Final

from support.aws_rules import of
from support.recorder import objects, under

from ops.stack.eks_component import TYPE
from ops.stack.recording import Recording

BUILD: Final = re.compile(r"v\d+\.\d+\.\d+-eksbuild\.\d+")
"""How EKS names the versions of its add-ons."""
OF_THE_COMPONENT: Final = {
    "aws:eks/accessEntry:AccessEntry",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "aws:eks/cluster:Cluster",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "pulumi:providers:kubernetes",
}
"""What the component of `pulumi_eks` may make; everything else is ours to make, where the rules see it."""
JOINING: Final = {"EC2", "EC2_LINUX", "EC2_WINDOWS", "HYBRID_LINUX", "FARGATE_LINUX"}
"""Types of access entries by which a machine joins the cluster as a node (EKS' API, CreateAccessEntry)."""
TAGGED_AT_A_LAUNCH: Final = {
    "fleet", "instance", "launch-template", "network-interface", "spot-instances-request", "volume",
}  # fmt: skip
"""Resources that Karpenter, which Auto Mode runs, tags as it launches nodes: aws/karpenter-provider-aws,
`website/content/en/docs/getting-started/getting-started-with-karpenter/cloudformation.yaml`."""


def nothing_unseen(recording: Recording) -> list[str]:
    """The component makes the cluster and its identity provider, and no role, profile or add-on of its own."""
    components = {item.urn for item in recording.resources if item.type == TYPE}
    inside = under(recording, components) - components
    return [
        f"{item.type} {item.name}"
        for item in recording.resources
        if item.urn in inside and item.type not in OF_THE_COMPONENT
    ]


def nobody_joins(recording: Recording) -> list[str]:
    """No access entry of the program lets a machine join as a node: EKS makes those of our own nodes itself."""
    entries = of(recording, "AccessEntry")
    return [f"{item.name}: {item.inputs['type']}" for item in entries if item.inputs.get("type") in JOINING]


def exact_addons(recording: Recording) -> list[str]:
    """Each add-on is at one build, and not at whichever is the newest."""
    versions = {item.name: str(item.inputs.get("addonVersion")) for item in of(recording, "Addon")}
    return [f"{name}: {version}" for name, version in versions.items() if not BUILD.fullmatch(version)]


def launches_with_tags(recording: Recording) -> list[str]:
    """Where nodes are launched with our tags, the cluster's role may tag everything that a launch creates."""
    classes = objects(recording, "NodeClass")
    if not any(item.inputs["spec"].get("tags") for item in classes):
        return []
    allowed: dict[str, set[str]] = {"ec2:CreateFleet": set(), "ec2:RunInstances": set()}
    for item in of(recording, "RolePolicy"):
        for statement in json.loads(item.inputs["policy"])["Statement"]:
            for action in allowed.keys() & set(statement["Action"]):
                allowed[action] |= {arn.rpartition(":")[2].partition("/")[0] for arn in statement["Resource"]}
    return [
        f"{action}: {missing}" for action, kinds in allowed.items() for missing in sorted(TAGGED_AT_A_LAUNCH - kinds)
    ]
