"""Add-ons of the cluster, each at the build that the stack names: an unrelated `pulumi up` never upgrades one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
from pulumi_aws import eks

from infra.aws.scope import Scope
from infra.config import Settings
from infra.config_aws import AddonSettings
from infra.kit.options import child

POLL_SECONDS: Final = 120
"""How often the driver checks for rotated secrets."""
_ON_EVERY_NODE: Final = [{"operator": "Exists"}]


@dataclass(frozen=True, kw_only=True)
class AddonSpec:
    """An add-on of EKS, and how it is configured; its build is in `churn:addons`."""

    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)


SECRETS: Final = AddonSpec(
    name="aws-secrets-store-csi-driver-provider",
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
METRICS: Final = AddonSpec(name="metrics-server")
POD_IDENTITY: Final = AddonSpec(name="eks-pod-identity-agent")
NETWORK: Final = AddonSpec(
    name="vpc-cni",
    # Without it nothing enforces network policies.
    configuration={"enableNetworkPolicy": "true"},
)
PROXY: Final = AddonSpec(name="kube-proxy")
DNS: Final = AddonSpec(name="coredns")
VOLUMES: Final = AddonSpec(name="aws-ebs-csi-driver")
OBSERVABILITY: Final = "amazon-cloudwatch-observability"
"""Collects the logs of pods; `infra.aws.pod_logs` configures it."""
BEFORE_NODES: Final = (NETWORK, PROXY)
"""Without these no node becomes ready."""


def required(nodes: str, identity: str) -> tuple[AddonSpec, ...]:
    """Return the add-ons that a cluster needs; Auto Mode itself brings network, DNS, volumes and Pod Identity."""
    if nodes == "auto":
        return (SECRETS, METRICS)
    agent = (POD_IDENTITY,) if identity == "pod-identity" else ()
    return (DNS, VOLUMES, SECRETS, METRICS, *agent)


def all_of(nodes: str, identity: str) -> tuple[AddonSpec, ...]:
    """Return every add-on that the stack creates, those before the nodes first."""
    return (*(BEFORE_NODES if nodes == "managed" else ()), *required(nodes, identity))


def build(settings: AddonSettings, name: str) -> str:
    """Return the build of one add-on."""
    version: str = getattr(settings, name.replace("-", "_"))
    return version


def builds(settings: Settings) -> dict[str, str]:
    """Return the builds that a stack on AWS runs, by the names of its add-ons."""
    names = [*(addon.name for addon in all_of(settings.eks.nodes, settings.eks.identity)), OBSERVABILITY]
    return {name: build(settings.addons, name) for name in names}


def create(
    name: str, addon: AddonSpec, scope: Scope, role: pulumi.Input[str] | None, opts: pulumi.ResourceOptions
) -> eks.Addon:
    """Create one add-on; ``role`` is that of its service account, if an annotation names it."""
    return eks.Addon(
        name,
        cluster_name=scope.prefix,
        addon_name=addon.name,
        addon_version=build(scope.settings.addons, addon.name),
        configuration_values=json.dumps(addon.configuration, sort_keys=True) if addon.configuration else None,
        service_account_role_arn=role,
        # An update reverts what somebody changed by hand.
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        opts=opts,
    )


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
            create(f"{name}-{addon.name}", addon, args.scope, args.roles.get(addon.name), child(self))
        self.register_outputs({})
