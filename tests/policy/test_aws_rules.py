"""Every rule about AWS holds for both AWS stacks, and finds the one violation in each of its samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support import aws_rules as rules
from support.eks_recordings import managed
from support.endpoint_rules import passing
from support.recorder import named, recorded, settings, with_inputs

from ops.stack.recording import Recording

Rule = Callable[[Recording], list[str]]
Change = Callable[[dict[str, Any]], Any]

STACKS = ("staging", "prod")
RULES: list[Rule] = [
    rules.no_wildcard_actions,
    rules.named_resources,
    rules.nobody_unnamed,
    rules.one_service_account,
    passing,
    rules.encrypted,
    rules.complete_buckets,
    rules.nothing_public,
    rules.closed_groups,
    rules.isolated_database,
    rules.tagged,
    rules.kept_logs,
    rules.supported,
    rules.rotated,
    rules.pinned_addons,
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, stack: str) -> None:
    assert rule(recorded(stack)) == []


@pytest.mark.parametrize("stack", STACKS)
def test_state_is_kept_where_the_stack_says_so(stack: str) -> None:
    assert rules.protected(recorded(stack), protect=settings(stack).state.protect) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds_with_every_option_the_other_way(rule: Rule) -> None:
    assert rule(managed()) == []


def test_without_protection_nothing_is_kept() -> None:
    assert rules.protected(managed(), protect=False) == []


def changed(name: str, change: Change) -> Recording:
    """The staging stack with the inputs of one resource changed."""
    recording = recorded("staging")
    return with_inputs(recording, named(recording, name), change)


def statement(field: str, **values: Any) -> Change:
    """A change of the first statement of a document."""

    def change(inputs: dict[str, Any]) -> None:
        document = json.loads(inputs[field])
        document["Statement"][0].update(values)
        inputs[field] = json.dumps(document)

    return change


def dropped(key: str) -> Change:
    """A change that removes an input."""
    return lambda inputs: inputs.pop(key)


def updated(**values: Any) -> Change:
    """A change that sets inputs."""
    return lambda inputs: inputs.update(values)


BAD: list[tuple[Rule, str, Change, str]] = [
    (rules.no_wildcard_actions, "identity-mlflow-policy", statement("policy", Action=["s3:*"]), ": s3:*"),
    (rules.named_resources, "identity-mlflow-policy", statement("policy", Resource=["*"]), ": *"),
    (rules.nobody_unnamed, "keys-data", statement("policy", Principal={"AWS": ["*"]}), "Account: *"),
    (rules.nobody_unnamed, "storage-data-policy", statement("policy", Effect="Allow"), "OnlyTls: *"),
    (
        rules.one_service_account,
        "identity-mlflow-role",
        statement("assumeRolePolicy", Condition={"StringLike": {"x:sub": "system:*"}}),
        "identity-mlflow-role",
    ),
    (
        rules.one_service_account,
        "identity-mlflow-role",
        statement("assumeRolePolicy", Condition={"StringEquals": {"x:sub": "y"}}),
        "identity-mlflow-role",
    ),
    (rules.encrypted, "database-instance", updated(storageEncrypted=False), "Instance database-instance"),
    (rules.encrypted, "network-flow-group", dropped("kmsKeyId"), "LogGroup network-flow-group"),
    (passing, "network-endpoints-s3", dropped("policy"), "without a policy"),
    (passing, "network-endpoints-keys", statement("policy", Condition={}), "any account"),
    (rules.encrypted, "keys-data", updated(enableKeyRotation=False), "Key keys-data"),
    (rules.encrypted, "compute-cluster-eks", dropped("encryptionConfigKeyArn"), "Cluster"),
    (rules.encrypted, "capacity-storage", lambda i: i["parameters"].update(encrypted="false"), "StorageClass"),
    (
        rules.encrypted,
        "storage-data-encryption",
        updated(rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]),
        "storage-data-encryption",
    ),
    (rules.complete_buckets, "storage-data-versions", updated(bucket="another"), "no BucketVersioning"),
    (
        rules.complete_buckets,
        "storage-data-versions",
        updated(versioningConfiguration={"status": "Suspended"}),
        "versions",
    ),
    (rules.complete_buckets, "storage-data-closed", updated(blockPublicPolicy=False), "open"),
    (rules.complete_buckets, "storage-data-policy", statement("policy", Condition={}), "plain HTTP"),
    (rules.complete_buckets, "storage-data-lifecycle", updated(rules=[]), "unfinished uploads"),
    (rules.nothing_public, "database-instance", updated(publiclyAccessible=True), "public"),
    (rules.nothing_public, "network-public-1", updated(mapPublicIpOnLaunch=True), "network-public-1"),
    (rules.nothing_public, "compute-cluster-eks", updated(publicAccessCidrs=["0.0.0.0/0"]), "0.0.0.0/0"),
    (rules.closed_groups, "database-clients", updated(referencedSecurityGroupId="", cidrIpv4="0.0.0.0/0"), "0.0.0.0/0"),
    (rules.closed_groups, "database-group", updated(ingress=[{"protocol": "-1"}]), "ingress inline"),
    (rules.isolated_database, "network-public-default", updated(routeTableId="network-database-id"), "public-default"),
    (rules.tagged, "capacity-nodes", lambda i: i["spec"].update(tags={}), "NodeClass"),
    (rules.tagged, "capacity-storage", lambda i: i["parameters"].pop("tagSpecification_1"), "StorageClass"),
    (rules.kept_logs, "network-flow-group", dropped("retentionInDays"), "network-flow-group"),
    (rules.supported, "compute-cluster-eks", updated(upgradePolicy={"supportType": "EXTENDED"}), "upgradePolicy"),
    (rules.supported, "compute-cluster-eks", updated(authenticationMode="CONFIG_MAP"), "authenticationMode"),
    (rules.rotated, "secrets-api-client-web-shop-secret", updated(tags={}), "not marked"),
    (rules.pinned_addons, "compute-addons-metrics-server", dropped("addonVersion"), "metrics-server"),
]


@pytest.mark.parametrize(
    ("rule", "name", "change", "expected"),
    BAD,
    ids=[f"{rule.__name__}-{name}-{number}" for number, (rule, name, _, _) in enumerate(BAD)],
)
def test_rule_finds_its_sample(rule: Rule, name: str, change: Change, expected: str) -> None:
    violations = rule(changed(name, change))
    assert len(violations) == 1
    assert expected in violations[0]


def test_a_provider_without_the_tags_is_found() -> None:
    assert len(rules.tagged(changed("aws", updated(defaultTags={"tags": {"churn:stack": "staging"}})))) > 150


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("database-instance", updated(deletionProtection=False)),
        ("compute-cluster-eks", updated(deletionProtection=False)),
    ],
)
def test_what_is_not_protected_is_found(name: str, change: Change) -> None:
    assert len(rules.protected(changed(name, change), protect=True)) == 1
