"""Rules over the AWS resources of a recorded stack: each takes a recording and returns one line per violation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from infra.config_aws import RETENTION_DAYS
from ops.stack.recording import Recording, Resource

Json = dict[str, Any]
TAGS: Final = {"churn:stack", "churn:owner", "churn:cost-center", "churn:managed-by"}
STATEFUL: Final = (
    "aws:ecr/repository:Repository",
    "aws:kms/key:Key",
    "aws:rds/instance:Instance",
    "aws:route53/zone:Zone",
    "aws:s3/bucket:Bucket",
    "aws:secretsmanager/secret:Secret",
)
BESIDE_A_BUCKET: Final = (
    "BucketLifecycleConfiguration",
    "BucketOwnershipControls",
    "BucketPolicy",
    "BucketPublicAccessBlock",
    "BucketServerSideEncryptionConfiguration",
    "BucketVersioning",
)
DOCUMENTS: Final = ("policy", "assumeRolePolicy")
WORLD: Final = ("0.0.0.0/0", "::/0")
NO_RESOURCE_NAMES: Final = {"aws:kms/key:Key"}
"""Types whose policies call the resource itself `*`."""


def kind(item: Resource) -> str:
    """The last part of a type: `Bucket` of `aws:s3/bucket:Bucket`."""
    return item.type.rpartition(":")[2]


def of(recording: Recording, *kinds: str) -> Iterator[Resource]:
    """The AWS resources of these kinds."""
    return (item for item in recording.resources if item.type.startswith("aws:") and kind(item) in kinds)


def documents(recording: Recording) -> Iterator[tuple[Resource, str, Json]]:
    """Every IAM document that grants something (an endpoint's does not): its resource, its field, and its content."""
    for item in (item for item in recording.resources if kind(item) != "VpcEndpoint"):
        for field in DOCUMENTS:
            text = item.inputs.get(field)
            if item.type.startswith("aws:") and isinstance(text, str) and '"Statement"' in text:
                yield item, field, json.loads(text)


def statements(recording: Recording) -> Iterator[tuple[Resource, Json]]:
    """Every statement of every document."""
    for item, _, document in documents(recording):
        for statement in document["Statement"]:
            yield item, statement


def no_wildcard_actions(recording: Recording) -> list[str]:
    """Every allowed action is named in full."""
    return [
        f"{item.name} {statement['Sid']}: {action}"
        for item, statement in statements(recording)
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
        if "*" in action
    ]


def named_resources(recording: Recording) -> list[str]:
    """No identity may act on everything: each statement names resources of one kind and one account."""
    return [
        f"{item.name} {statement['Sid']}: {resource}"
        for item, statement in statements(recording)
        if statement["Effect"] == "Allow" and item.type not in NO_RESOURCE_NAMES
        for resource in statement.get("Resource", [])
        if resource == "*" or resource.startswith("arn:aws:s3:::*") or ":*:*:" in resource
    ]


def nobody_unnamed(recording: Recording) -> list[str]:
    """Only a `Deny` may name everybody as its principal."""
    violations = []
    for item, statement in statements(recording):
        principal = statement.get("Principal")
        who = (
            [principal]
            if isinstance(principal, str)
            else [name for names in (principal or {}).values() for name in names]
        )
        if statement["Effect"] == "Allow":
            violations += [f"{item.name} {statement['Sid']}: {name}" for name in who if name == "*"]
    return violations


def one_service_account(recording: Recording) -> list[str]:
    """A role for pods is for one service account: subject and audience of the token must equal fixed values."""
    violations = []
    for item, statement in statements(recording):
        if "sts:AssumeRoleWithWebIdentity" in statement["Action"]:
            equal = statement.get("Condition", {}).get("StringEquals", {})
            names = {key.rpartition(":")[2] for key in equal}
            if names != {"sub", "aud"} or any("*" in str(value) for value in equal.values()):
                violations.append(f"{item.name}: {statement.get('Condition')}")
    return violations


def encrypted(recording: Recording) -> list[str]:
    """Everything that stores data is encrypted, with a key of ours where AWS allows one."""
    encryption: dict[str, Any] = {
        "Instance": lambda i: i.get("storageEncrypted") and i.get("kmsKeyId") and i.get("masterUserSecretKmsKeyId"),
        "LogGroup": lambda i: i.get("kmsKeyId"),
        "Secret": lambda i: i.get("kmsKeyId"),
        "Repository": lambda i: i.get("encryptionConfigurations", [{}])[0].get("kmsKey"),
        "Function": lambda i: i.get("kmsKeyArn"),
        "Key": lambda i: i.get("enableKeyRotation"),
        "LaunchTemplate": lambda i: all(d["ebs"].get("kmsKeyId") for d in i["blockDeviceMappings"]),
        "BucketServerSideEncryptionConfiguration": _bucket_key,
    }
    violations = [
        f"{kind(item)} {item.name}" for item in of(recording, *encryption) if not encryption[kind(item)](item.inputs)
    ]
    clusters = [item for item in recording.resources if item.type == "eks:index:Cluster"]
    violations += [f"Cluster {item.name}" for item in clusters if not item.inputs.get("encryptionConfigKeyArn")]
    for item in recording.resources:
        if item.type == "kubernetes:storage.k8s.io/v1:StorageClass":
            parameters = item.inputs["parameters"]
            if parameters.get("encrypted") != "true" or not parameters.get("kmsKeyId"):
                violations.append(f"StorageClass {item.name}")
    return violations


def _bucket_key(inputs: Json) -> bool:
    """Whether a bucket has a key of ours, or S3's own where logs are delivered, which can be written to no other."""
    rule = inputs["rules"][0]["applyServerSideEncryptionByDefault"]
    return bool(rule.get("kmsMasterKeyId")) or ("-logs-" in inputs["bucket"] and rule["sseAlgorithm"] == "AES256")


def complete_buckets(recording: Recording) -> list[str]:
    """Each bucket has all the resources that make it safe, with the right settings."""
    buckets = {item.outputs["bucket"]: item for item in of(recording, "Bucket")}
    violations = []
    for name in buckets:
        beside = {kind(item): item.inputs for item in of(recording, *BESIDE_A_BUCKET) if item.inputs["bucket"] == name}
        violations += [f"{name}: no {missing}" for missing in BESIDE_A_BUCKET if missing not in beside]
        if len(beside) < len(BESIDE_A_BUCKET):
            continue
        versions = beside["BucketVersioning"]["versioningConfiguration"]["status"]
        closed = [value for key, value in beside["BucketPublicAccessBlock"].items() if key not in {"bucket", "region"}]
        refusals = [
            statement
            for statement in json.loads(beside["BucketPolicy"]["policy"])["Statement"]
            if statement["Effect"] == "Deny"
            and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        ]
        rules = beside["BucketLifecycleConfiguration"]["rules"]
        checks = {
            "versions": versions == "Enabled",
            "open": closed == [True] * 4,
            "plain HTTP": bool(refusals),
            "unfinished uploads": any("abortIncompleteMultipartUpload" in rule for rule in rules),
        }
        violations += [f"{name}: {what}" for what, good in checks.items() if not good]
    return violations


def nothing_public(recording: Recording) -> list[str]:
    """Nothing but the load balancer can be reached from outside: no database, subnet or control plane."""
    violations = [
        f"{item.name}: public"
        for item in of(recording, "Instance")
        if item.inputs.get("publiclyAccessible") is not False
    ]
    violations += [
        f"{item.name}: public addresses" for item in of(recording, "Subnet") if item.inputs.get("mapPublicIpOnLaunch")
    ]
    for item in recording.resources:
        if item.type == "eks:index:Cluster":
            opened = item.inputs.get("endpointPublicAccess")
            cidrs = item.inputs.get("publicAccessCidrs") or []
            if not item.inputs.get("endpointPrivateAccess") or (opened and (not cidrs or set(cidrs) & set(WORLD))):
                violations.append(f"{item.name}: {cidrs}")
    return violations


def closed_groups(recording: Recording) -> list[str]:
    """Security groups let traffic in only by rules of their own, from a network or group that is not the world."""
    violations = [
        f"{item.name}: {way} inline"
        for item in of(recording, "SecurityGroup", "DefaultSecurityGroup")
        for way in ("ingress", "egress")
        if item.inputs.get(way)
    ]
    for item in of(recording, "SecurityGroupIngressRule"):
        source = item.inputs.get("cidrIpv4") or item.inputs.get("referencedSecurityGroupId")
        if not source or source in WORLD or item.inputs.get("ipProtocol") == "-1":
            violations.append(f"{item.name}: {source}")
    return violations


def isolated_database(recording: Recording) -> list[str]:
    """No route leads out of the database's subnets."""
    tables = {item.name for item in of(recording, "RouteTable") if "database" in item.name}
    return [item.name for item in of(recording, "Route") if item.inputs["routeTableId"].removesuffix("-id") in tables]


def tagged(recording: Recording) -> list[str]:
    """All cost-allocation tags are on every resource: by its provider or, where Kubernetes makes it, by its object."""
    good = {
        item.urn
        for item in recording.resources
        if item.type == "pulumi:providers:aws"
        and set(json.loads(item.inputs["defaultTags"])["tags"] if isinstance(item.inputs["defaultTags"], str)
                else item.inputs["defaultTags"]["tags"]) >= TAGS
    }  # fmt: skip
    violations = [
        f"{item.type} {item.name}: {item.provider}"
        for item in recording.resources
        if item.type.startswith("aws:") and item.provider.rpartition("::")[0] not in good
    ]
    violations += [
        f"{i.name}: tags"
        for i in recording.resources
        if i.type == "eks:index:Cluster" and not set(i.inputs["tags"]) >= TAGS
    ]
    for item in recording.resources:
        inputs = item.inputs
        if inputs.get("kind") == "NodeClass" and not set(inputs["spec"].get("tags", {})) >= TAGS:
            violations.append(f"NodeClass {item.name}")
        if inputs.get("kind") == "StorageClass":
            tags = {v.partition("=")[0] for k, v in inputs["parameters"].items() if k.startswith("tagSpecification_")}
            violations += [f"StorageClass {item.name}"] if not tags >= TAGS else []
        if (
            inputs.get("kind") == "Service"
            and inputs["spec"].get("type") == "LoadBalancer"
            and recording.stack != "dev"
        ):
            text = inputs["metadata"]["annotations"].get(
                "service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags", ""
            )
            violations += (
                [f"Service {item.name}"] if not {part.partition("=")[0] for part in text.split(",")} >= TAGS else []
            )
    return violations


def kept_logs(recording: Recording) -> list[str]:
    """Every log group has a retention that AWS accepts."""
    return [item.name for item in of(recording, "LogGroup") if item.inputs.get("retentionInDays") not in RETENTION_DAYS]


def protected(recording: Recording, *, protect: bool) -> list[str]:
    """Whatever holds data, a key or a secret is protected and retained exactly where the stack says so."""
    violations = [
        f"{item.type} {item.name}: protect {item.protect}, retain {item.retain_on_delete}"
        for item in recording.resources
        if item.type in STATEFUL
        and (item.protect, item.retain_on_delete) != (protect, protect)
        and "churn:client" not in (item.inputs.get("tags") or {})  # for which `removable_clients` has the rule
    ]
    for item in of(recording, "Instance"):
        protection = (item.inputs["deletionProtection"], not item.inputs["skipFinalSnapshot"])
        violations += [] if protection == (protect, protect) else [f"{item.name}: {protection}"]
    clusters = [item for item in recording.resources if item.type == "eks:index:Cluster"]
    violations += [f"{item.name}: deletion" for item in clusters if item.inputs["deletionProtection"] is not protect]
    return violations


def supported(recording: Recording) -> list[str]:
    """The cluster is on standard support, logs everything, and admits people by access entries."""
    violations = []
    for item in recording.resources:
        if item.type == "eks:index:Cluster":
            settings = {
                "upgradePolicy": {"supportType": "STANDARD"},
                "authenticationMode": "API",
                "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
            }
            violations += [f"{item.name}: {key}" for key, value in settings.items() if item.inputs.get(key) != value]
    return violations


def rotated(recording: Recording) -> list[str]:
    """Exactly those secrets have a rotation schedule whose tags say how they rotate."""
    marked = {
        item.outputs["arn"] for item in of(recording, "Secret") if "churn:rotation" in item.inputs.get("tags", {})
    }
    scheduled = {item.inputs["secretId"] for item in of(recording, "SecretRotation")}
    return [f"not scheduled: {arn}" for arn in sorted(marked - scheduled)] + [
        f"not marked: {arn}" for arn in sorted(scheduled - marked)
    ]


def pinned_addons(recording: Recording) -> list[str]:
    """Each add-on is at one version."""
    return [item.name for item in of(recording, "Addon") if not item.inputs.get("addonVersion")]
