"""What outlives a refresh, a rotation and a region: every rule holds, and finds the violation in its sample."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support import aws_state_rules as rules
from support.eks_recordings import Rule, managed
from support.recorder import named, recorded, with_inputs, with_resource

STACKS = ("staging", "prod")
RULES: list[Rule] = [
    rules.values_outside,
    rules.removable_clients,
    rules.regional_buckets,
    rules.copied_database,
    rules.copied_images,
    rules.copied_secrets,
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, stack: str) -> None:
    assert rule(recorded(stack)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds_with_every_option_the_other_way(rule: Rule) -> None:
    assert rule(managed()) == []


def test_a_secret_that_gets_no_value_is_found() -> None:
    recording = recorded("staging")
    call = named(recording, "rotation-first-values")
    request = json.loads(call.inputs["input"])
    arn = named(recording, "secrets-mlflow-api-secret").outputs["arn"]
    del request["secrets"][arn]
    without = replace(call, inputs={**call.inputs, "input": json.dumps(request)})
    assert rules.values_outside(with_resource(recording, call, without)) == ["secrets-mlflow-api-secret: no value"]


def test_a_client_that_cannot_be_removed_is_found() -> None:
    recording = recorded("staging")
    secret = named(recording, "secrets-api-client-web-shop-secret")
    for bad in (replace(secret, protect=True), replace(secret, retain_on_delete=True)):
        assert rules.removable_clients(with_resource(recording, secret, bad)) == [secret.name]


def test_a_version_in_the_state_is_found() -> None:
    recording = recorded("staging")
    secret = named(recording, "secrets-mlflow-api-secret")
    version = replace(secret, type="aws:secretsmanager/secretVersion:SecretVersion", name="first")
    assert rules.values_outside(replace(recording, resources=[*recording.resources, version])) == ["first: a version"]


def test_a_pod_that_does_not_wait_for_the_values_is_found() -> None:
    recording = recorded("staging")
    resources = [replace(item, depends_on=()) if item.name == "mlflow" else item for item in recording.resources]
    violations = rules.values_outside(replace(recording, resources=resources))
    assert violations
    assert all("mlflow" in line and line.endswith("does not wait for the values") for line in violations)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sourceDbInstanceArn": "another"}, "no copy"),
        ({"region": "eu-central-1"}, "region"),
        ({"kmsKeyId": "arn:aws:kms:eu-central-1:000000000000:key/keys-data"}, "key"),
        ({"retentionPeriod": 1}, "days"),
    ],
)
def test_a_database_without_a_right_copy_of_its_backups_is_found(change: dict[str, Any], reason: str) -> None:
    recording = recorded("prod")
    chosen = named(recording, "database-copy-replication")
    violations = rules.copied_database(with_inputs(recording, chosen, lambda inputs: inputs.update(change)))
    assert f"database-instance: {reason}" in violations


@pytest.mark.parametrize(
    ("replicas", "reason"),
    [
        (None, "regions"),
        ([{"region": "eu-west-1"}], "key"),
        ([{"region": "eu-north-1", "kmsKeyId": "of another region"}], "regions"),
    ],
)
def test_a_secret_without_a_right_copy_is_found(replicas: Any, reason: str) -> None:
    recording = recorded("prod")
    secret = named(recording, "secrets-api-client-web-shop-secret")
    violations = rules.copied_secrets(with_inputs(recording, secret, lambda inputs: inputs.update(replicas=replicas)))
    assert f"{secret.name}: {reason}" in violations


def test_images_that_stay_in_one_region_are_found() -> None:
    recording = recorded("prod")
    copy = named(recording, "registry-copy-replication")
    without = replace(recording, resources=[item for item in recording.resources if item is not copy])
    assert rules.copied_images(without) == ["eu-west-1"]


def test_a_bucket_whose_name_is_taken_in_a_lost_region_is_found() -> None:
    recording = recorded("prod")
    chosen = named(recording, "storage-copy-target-bucket")
    name = chosen.outputs["bucket"].removesuffix("-eu-west-1")
    for other in (name, f"{name}-eu-central-1", f"{'x' * 60}-eu-west-1"):
        renamed = replace(chosen, outputs={**chosen.outputs, "bucket": other})
        assert rules.regional_buckets(with_resource(recording, chosen, renamed)) == [other]
