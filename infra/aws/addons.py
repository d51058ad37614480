"""Add-ons of the cluster, each pinned to one version, so that an unrelated `pulumi up` never upgrades one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
from pulumi_aws import eks

from infra.aws.scope import Scope
from infra.kit.options import child

POLL_SECONDS: Final = 120
"""How often the driver checks for rotated secrets."""
_ON_EVERY_NODE: Final = [{"operator": "Exists"}]


@dataclass(frozen=True, kw_only=True)
class AddonSpec:
    """An add-on of EKS at one version, which fits the Kubernetes version that the stacks run."""

    name: str
    version: str
    configuration: Mapping[str, Any] = field(default_factory=dict)


SECRETS: Final = AddonSpec(
    name="aws-secrets-store-csi-driver-provider",
    version="v3.1.3-eksbuild.1",
    configuration={
        "secrets-store-csi-driver": {
            "enableSecretRotation": True,
            "rotationPollInterval": f"{POLL_SECONDS}s",
            # Training mounts secrets on spot nodes, which are tainted.
            "linux": {"tolerations": _ON_EVERY_NODE},
        },
        "tolerations": _ON_EVERY_NODE,
    },
)
METRICS: Final = AddonSpec(name="metrics-server", version="v0.9.0-eksbuild.11")
POD_IDENTITY: Final = AddonSpec(name="eks-pod-identity-agent", version="v1.3.10-eksbuild.3")
NETWORK: Final = AddonSpec(
    name="vpc-cni",
    version="v1.22.4-eksbuild.3",
    # Without it nothing enforces network policies.
    configuration={"enableNetworkPolicy": "true"},
)
PROXY: Final = AddonSpec(name="kube-proxy", version="v1.36.0-eksbuild.25")
DNS: Final = AddonSpec(name="coredns", version="v1.14.3-eksbuild.23")
VOLUMES: Final = AddonSpec(name="aws-ebs-csi-driver", version="v1.66.0-eksbuild.1")
BEFORE_NODES: Final = (NETWORK, PROXY)
"""Without these no node becomes ready."""


def required(nodes: str, identity: str) -> tuple[AddonSpec, ...]:
    """Return the add-ons that a cluster needs; Auto Mode itself brings network, DNS, volumes and Pod Identity."""
    if nodes == "auto":
        return (SECRETS, METRICS)
    agent = (POD_IDENTITY,) if identity == "pod-identity" else ()
    return (DNS, VOLUMES, SECRETS, METRICS, *agent)


@dataclass(frozen=True, kw_only=True)
class AddonsArgs:
    """The add-ons, and by their names the ``roles`` of those that call AWS."""

    scope: Scope
    addons: Sequence[AddonSpec]
    roles: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class Addons(pulumi.ComponentResource):
    """One resource for each add-on."""

    def __init__(self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Addons", name, {}, opts)
        for addon in args.addons:
            eks.Addon(
                f"{name}-{addon.name}",
                cluster_name=args.scope.prefix,
                addon_name=addon.name,
                addon_version=addon.version,
                configuration_values=json.dumps(addon.configuration, sort_keys=True) if addon.configuration else None,
                service_account_role_arn=args.roles.get(addon.name),
                # An update reverts what somebody changed by hand.
                resolve_conflicts_on_create="OVERWRITE",
                resolve_conflicts_on_update="OVERWRITE",
                opts=child(self),
            )
        self.register_outputs({})
