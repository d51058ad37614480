"""The resources that the component of `pulumi_eks` makes itself, which no recording of our program would show.

The component runs in a process of its provider, so the program sees its inputs and outputs alone. What it makes of them
is read from its source: pulumi/pulumi-eks, `nodejs/eks/cluster/cluster.ts` (`createCore`), `servicerole.ts` and
`authenticationMode.ts`, release 4. An option with which the component would make resources that are not described here
is refused, so that this list cannot fall behind the program in silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

TYPE: Final = "eks:index:Cluster"
NEWEST: Final = "whichever version is the newest"
"""The component looks an add-on's version up at each run (`mostRecent: true`), unless its options name one."""
NODE_POLICIES: Final = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly")
_MANAGED: Final = "arn:aws:iam::aws:policy"
TRUST: Final = {
    "Sid": "Nodes",
    "Effect": "Allow",
    "Action": ["sts:AssumeRole"],
    "Principal": {"Service": ["ec2.amazonaws.com"]},
}
UNKNOWN: Final = ("fargate", "storageClasses", "instanceRole", "instanceRoles", "nodeGroupOptions")
"""Options with which the component makes more than is described here; no stack uses them."""
Inputs = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A resource that the component makes; ``parent`` is the name of the part that it is in, or empty."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str = ""
    custom: bool = True


def parts(name: str, inputs: Inputs) -> list[Part]:
    """Return what the component makes from its inputs, each part after those that it needs.

    Raises:
        NotImplementedError: an option is set with which the component makes something that is not described here.
    """
    strange = [option for option in UNKNOWN if inputs.get(option)]
    auto = bool((inputs.get("autoMode") or {}).get("enabled"))
    needed = {
        "serviceRole": inputs.get("serviceRole"),
        "authenticationMode API": inputs.get("authenticationMode") == "API",
        "skipDefaultSecurityGroups": inputs.get("skipDefaultSecurityGroups", auto),
        "skipDefaultNodeGroup": auto or inputs.get("skipDefaultNodeGroup"),
        "autoMode without createNodeRole": not auto or inputs["autoMode"].get("createNodeRole") is False,
        "useDefaultVpcCni": inputs.get("useDefaultVpcCni", auto),
    }
    strange += [f"no {option}" for option, value in needed.items() if not value]
    if strange:
        raise NotImplementedError(f"what the EKS component makes with {', '.join(strange)} is not described here")
    return list(_parts(name, inputs, auto=auto))


def _parts(name: str, inputs: Inputs, *, auto: bool) -> Iterator[Part]:
    yield Part(type="aws:eks/cluster:Cluster", name=f"{name}-eksCluster", inputs=_cluster(inputs, auto=auto))
    if _enabled(inputs, "kubeProxyAddonOptions", default=not auto):
        yield _addon(name, "kube-proxy", inputs, "kubeProxyAddonOptions")
    kubeconfig = {"kubeconfig": json.dumps({"current-context": "aws"})}
    yield Part(type="pulumi:providers:kubernetes", name=f"{name}-eks-k8s", inputs=kubeconfig)
    by_default = not inputs.get("skipDefaultNodeGroup")
    if inputs.get("createInstanceRole", by_default):
        yield from _instance_role(name, inputs)
    for key, entry in (inputs.get("accessEntries") or {}).items():
        yield from _access(f"{name}-{key}", entry, inputs)
    # Auto Mode brings DNS itself, and still the component adds the add-on (pulumi-eks #1726).
    if _enabled(inputs, "corednsAddonOptions", default=by_default or auto):
        yield _addon(name, "coredns", inputs, "corednsAddonOptions")
    if inputs.get("createOidcProvider"):
        issuer = {"clientIdLists": ["sts.amazonaws.com"], "url": f"https://oidc.eks.example.com/id/{inputs['name']}"}
        yield Part(
            type="aws:iam/openIdConnectProvider:OpenIdConnectProvider", name=f"{name}-oidcProvider", inputs=issuer
        )


def _cluster(inputs: Inputs, *, auto: bool) -> dict[str, Any]:
    """Return the inputs of the one resource that is the cluster itself."""
    key = inputs.get("encryptionConfigKeyArn")
    network = {"serviceIpv4Cidr": inputs.get("kubernetesServiceIpAddressRange"), "ipFamily": "ipv4"}
    fields: dict[str, Any] = {
        "name": inputs["name"],
        "version": inputs["version"],
        "roleArn": inputs["serviceRole"],
        "accessConfig": {
            "authenticationMode": inputs["authenticationMode"],
            "bootstrapClusterCreatorAdminPermissions": True,
        },
        "bootstrapSelfManagedAddons": False if auto else inputs.get("bootstrapSelfManagedAddons", True),
        "deletionProtection": inputs.get("deletionProtection", False),
        "enabledClusterLogTypes": inputs.get("enabledClusterLogTypes", []),
        "encryptionConfig": {"provider": {"keyArn": key}, "resources": ["secrets"]} if key else None,
        "kubernetesNetworkConfig": network | ({"elasticLoadBalancing": {"enabled": True}} if auto else {}),
        "tags": {**(inputs.get("clusterTags") or {}), **(inputs.get("tags") or {})},
        "upgradePolicy": inputs.get("upgradePolicy"),
        "vpcConfig": {
            "subnetIds": inputs.get("privateSubnetIds", []),
            "endpointPrivateAccess": inputs.get("endpointPrivateAccess", False),
            "endpointPublicAccess": inputs.get("endpointPublicAccess", True),
            "publicAccessCidrs": inputs.get("publicAccessCidrs"),
        },
    }
    if auto:
        pools = {"nodePools": ["general-purpose", "system"]}
        fields["computeConfig"] = {"enabled": True} | pools | (inputs["autoMode"].get("computeConfig") or {})
        fields["storageConfig"] = {"blockStorage": {"enabled": True}}
    return {field: value for field, value in fields.items() if value is not None}


def _enabled(inputs: Inputs, option: str, *, default: bool) -> bool:
    enabled = (inputs.get(option) or {}).get("enabled")
    return default if enabled is None else bool(enabled)


def _addon(name: str, addon: str, inputs: Inputs, option: str) -> Part:
    fields = {
        "clusterName": inputs["name"],
        "addonName": addon,
        "addonVersion": (inputs.get(option) or {}).get("version") or NEWEST,
        "preserve": True,
    }
    return Part(type="aws:eks/addon:Addon", name=f"{name}-{addon}", inputs=fields)


def _instance_role(name: str, inputs: Inputs) -> Iterator[Part]:
    """The role of nodes that no stack has, and the entry by which whoever holds it joins the cluster as a node."""
    role = f"{name}-instanceRole"
    document = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    yield Part(type="eks:index:ServiceRole", name=role, inputs={}, custom=False)
    yield Part(type="aws:iam/role:Role", name=f"{role}-role", inputs={"assumeRolePolicy": document}, parent=role)
    for policy in NODE_POLICIES:
        arn = f"{_MANAGED}/{policy}"
        # The name is a digest as the component computes it, and protects nothing.
        suffix = hashlib.sha1(arn.encode(), usedforsecurity=False).hexdigest()[:8]
        attached = {"policyArn": arn, "role": f"{role}-role"}
        kind = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
        yield Part(type=kind, name=f"{role}-{suffix}", inputs=attached, parent=role)
    profile = {"role": f"{role}-role"}
    yield Part(type="aws:iam/instanceProfile:InstanceProfile", name=f"{name}-instanceProfile", inputs=profile)
    joins = {"principalArn": f"{role}-role", "type": "EC2_LINUX"}
    yield from _access(f"{name}-defaultNodeGroupInstanceRole", joins, inputs)


def _access(name: str, entry: Inputs, inputs: Inputs) -> Iterator[Part]:
    fields = {"clusterName": inputs["name"], "principalArn": entry["principalArn"]}
    kind = {"type": entry["type"]} if entry.get("type") else {}
    yield Part(type="aws:eks/accessEntry:AccessEntry", name=name, inputs=fields | kind)
    for key, policy in (entry.get("accessPolicies") or {}).items():
        associated = fields | {"policyArn": policy["policyArn"], "accessScope": policy["accessScope"]}
        yield Part(
            type="aws:eks/accessPolicyAssociation:AccessPolicyAssociation", name=f"{name}-{key}", inputs=associated
        )
