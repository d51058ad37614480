"""Managed node groups, for stacks without Auto Mode: one on demand, and a tainted one of spot nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ec2, eks

from infra.aws.capacity import SPOT
from infra.aws.scope import Scope
from infra.config_aws import ManagedNodes
from infra.kit.options import child

IMAGE: Final = "AL2023_x86_64_STANDARD"
DEVICE: Final = "/dev/xvda"
LAUNCHED: Final = ("instance", "volume", "network-interface")
"""Resources that a launch creates, which do not get the provider's tags."""


@dataclass(frozen=True, kw_only=True)
class NodeGroupsArgs:
    """The nodes' subnets and role, and the key for their disks."""

    scope: Scope
    subnets: Sequence[pulumi.Input[str]]
    role: pulumi.Input[str]
    key: pulumi.Input[str]


class NodeGroups(pulumi.ComponentResource):
    """The launch template and the two groups."""

    def __init__(self, name: str, args: NodeGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:NodeGroups", name, {}, opts)
        sizes = args.scope.settings.eks.managed
        template = self._template(name, args, sizes)
        self._group(name, "on-demand", args, template)
        self._group(name, "spot", args, template)
        self.register_outputs({})

    def _template(self, name: str, args: NodeGroupsArgs, sizes: ManagedNodes) -> ec2.LaunchTemplate:
        disk = ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_size=sizes.disk_gib,
            volume_type="gp3",
            encrypted="true",
            kms_key_id=args.key,
            delete_on_termination="true",
        )
        return ec2.LaunchTemplate(
            f"{name}-template",
            name_prefix=f"{args.scope.prefix}-",
            update_default_version=True,
            block_device_mappings=[ec2.LaunchTemplateBlockDeviceMappingArgs(device_name=DEVICE, ebs=disk)],
            # Pods are one hop further away than the node and must not get its role.
            metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            tag_specifications=[
                ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=args.scope.tags) for kind in LAUNCHED
            ],
            opts=child(self),
        )

    def _group(self, name: str, capacity: str, args: NodeGroupsArgs, template: ec2.LaunchTemplate) -> None:
        sizes, spot = args.scope.settings.eks.managed, capacity == "spot"
        taint_key, taint_value = SPOT.taint
        taints = [eks.NodeGroupTaintArgs(key=taint_key, value=taint_value, effect="NO_SCHEDULE")]
        eks.NodeGroup(
            f"{name}-{capacity}",
            cluster_name=args.scope.prefix,
            node_role_arn=args.role,
            subnet_ids=list(args.subnets),
            version=args.scope.settings.eks.version,
            ami_type=IMAGE,
            capacity_type="SPOT" if spot else "ON_DEMAND",
            instance_types=sizes.instance_types,
            scaling_config=eks.NodeGroupScalingConfigArgs(
                # Nothing scales a group up from zero nodes, so the spot group keeps one.
                min_size=1 if spot else sizes.min_nodes,
                desired_size=1 if spot else sizes.min_nodes,
                max_size=sizes.max_nodes,
            ),
            update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            launch_template=eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version.apply(str)),
            labels=dict([SPOT.label]) if spot else None,
            taints=taints if spot else None,
            # An autoscaler or a person may change it between two runs.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["scalingConfig.desiredSize"]),
        )
