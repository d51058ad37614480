"""How long an `up` may take, by how long the providers wait for each resource before they give up."""

from __future__ import annotations

from functools import cache
from typing import Final

from support.aws_rules import of
from support.order import before

from ops.stack.recording import Recording, Resource

MINUTES: Final = {
    "aws:acm/certificateValidation:CertificateValidation": 75,
    "aws:ec2/natGateway:NatGateway": 10,
    "aws:ec2/vpcEndpoint:VpcEndpoint": 10,
    "aws:eks/addon:Addon": 20,
    "aws:eks/cluster:Cluster": 30,
    "aws:eks/nodeGroup:NodeGroup": 60,
    "aws:rds/instance:Instance": 40,
}
"""Default timeouts of a creation: hashicorp/terraform-provider-aws, `website/docs/r/*.html.markdown`, "Timeouts"."""
AWAITED: Final = {"DaemonSet", "Deployment", "Ingress", "Job", "PersistentVolumeClaim", "Service", "StatefulSet"}
OBJECT_MINUTES: Final = 10
"""The default of pulumi-kubernetes for an object that it waits for; its annotation says otherwise."""
TIMEOUT: Final = "pulumi.com/timeoutSeconds"


def minutes(item: Resource) -> float:
    """The longest that the provider waits for one resource."""
    if item.is_kubernetes and item.inputs["kind"] in AWAITED:
        stated = (item.inputs.get("metadata", {}).get("annotations") or {}).get(TIMEOUT)
        return int(stated) / 60 if stated else OBJECT_MINUTES
    return MINUTES.get(item.type, 0)


def longest(recording: Recording) -> tuple[float, list[str]]:
    """The longest way through the graph in minutes, and the names on it: what waits for each other in a row."""
    items = {item.urn: item for item in recording.resources}
    earlier = before(recording)
    clusters = {item.urn for item in of(recording, "Cluster")}

    @cache
    def way(urn: str) -> tuple[float, tuple[str, ...]]:
        item = items[urn]
        # The provider of the objects inside needs the cluster's address.
        others = earlier[urn] | (clusters if item.is_kubernetes else set())
        total, names = max((way(other) for other in others if other in items), default=(0.0, ()))
        own = minutes(item)
        return total + own, (*names, item.name) if own else names

    total, names = max(way(urn) for urn in items)
    return total, list(names)
