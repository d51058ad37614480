"""Rights of workloads: exactly what they mount and use, in policies that refuse wildcards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.recorder import named, record_with, recorded

from infra import secret_files
from infra.kit.iam import Statement
from ops.stack.recording import Recording

STACKS = ("staging", "prod")


def document(recording: Recording, name: str, field: str = "policy") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(named(recording, name).inputs[field])
    return content


@pytest.mark.parametrize("stack", STACKS)
def test_a_workload_may_read_exactly_the_secrets_that_it_mounts(stack: str) -> None:
    mounted: dict[str, set[str]] = {}
    for item in recorded(stack).resources:
        if item.inputs.get("kind") == "SecretProviderClass":
            workload = item.inputs["metadata"]["labels"]["app.kubernetes.io/name"]
            (entry,) = json.loads(item.inputs["spec"]["parameters"]["objects"])
            mounted.setdefault(workload, set()).add(entry["objectName"])
    readable = {
        workload: {
            arn
            for statement in document(recorded(stack), f"identity-{workload}-policy")["Statement"]
            if statement["Sid"] == "ReadSecrets"
            for arn in statement["Resource"]
        }
        for workload in mounted
    }
    assert readable == mounted


def test_the_table_of_readers_names_exactly_the_secrets_that_exist() -> None:
    assert {secret for secrets in secret_files.READERS.values() for secret in secrets} == set(secret_files.ALL)


def test_only_the_server_deletes_artifacts_and_nobody_backups() -> None:
    deleting = {
        (item.name, resource)
        for item in recorded("prod").resources
        if item.name.startswith("identity-") and item.name.endswith("-policy")
        for statement in json.loads(item.inputs["policy"])["Statement"]
        if "s3:DeleteObject" in statement["Action"]
        for resource in statement["Resource"]
    }
    assert deleting == {
        ("identity-mlflow-policy", "arn:aws:s3:::churn-prod-artifacts-000000000000-eu-central-1/*"),
        ("identity-thanos-compact-policy", "arn:aws:s3:::churn-prod-metrics-000000000000-eu-central-1/*"),
    }


def rights(stack: str, workload: str) -> dict[str, list[str]]:
    """Return the actions that a workload may take without a condition, by resource: bucket, objects or key."""
    statements = document(recorded(stack), f"identity-{workload}-policy")["Statement"]
    statements = [each for each in statements if each["Sid"].startswith(("List", "Use", "Key"))]
    return {resource: statement["Action"] for statement in statements for resource in statement["Resource"]}


@pytest.mark.parametrize("stack", STACKS)
def test_the_backup_reads_artifacts_and_writes_backups_and_marks_none(stack: str) -> None:
    artifacts, backups = (
        f"arn:aws:s3:::churn-{stack}-{what}-000000000000-eu-central-1" for what in ("artifacts", "backups")
    )
    on_buckets = {what: actions for what, actions in rights(stack, "backup").items() if ":s3:::" in what}
    statements = document(recorded(stack), "identity-backup-policy")["Statement"]
    locks = {each["Sid"]: each["Action"] for each in statements if "Lock" in each["Sid"]}
    with_locks = {"ReadLocks": ["s3:GetObjectRetention"], "ExtendLocks": ["s3:PutObjectRetention"]}
    assert locks == (with_locks if stack == "prod" else {})
    assert on_buckets == {
        artifacts: ["s3:GetBucketLocation", "s3:ListBucket"],
        f"{artifacts}/*": ["s3:GetObject"],
        backups: [
            "s3:GetBucketLocation",
            "s3:ListBucket",
            "s3:GetEncryptionConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:GetBucketObjectLockConfiguration",
        ],
        f"{backups}/*": [
            "s3:GetObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
        ],
    }


@pytest.mark.parametrize("stack", STACKS)
def test_what_marks_expired_backups_can_write_none(stack: str) -> None:
    backups = f"arn:aws:s3:::churn-{stack}-backups-000000000000-eu-central-1"
    statements = document(recorded(stack), "identity-backup-expiry-policy")["Statement"]
    allowed = {action for each in statements for action in each["Action"] if action.startswith("s3:")}
    assert allowed == {
        "s3:GetBucketLocation",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:PutObjectVersionTagging",
    }
    (mark,) = [each for each in statements if each["Sid"] == "MarkExpired"]
    assert mark["Resource"] == [f"{backups}/*"]
    assert mark["Condition"] == {
        "StringEquals": {"s3:RequestObjectTag/churn-expired": "true"},
        "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": "churn-expired"},
    }


@pytest.mark.parametrize("stack", STACKS)
def test_the_drill_reads_backups_and_how_they_are_encrypted(stack: str) -> None:
    backups = f"arn:aws:s3:::churn-{stack}-backups-000000000000-eu-central-1"
    assert rights(stack, "drill") == {
        backups: ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetEncryptionConfiguration"],
        f"{backups}/*": ["s3:GetObject"],
        "arn:aws:kms:eu-central-1:000000000000:key/keys-data": ["kms:Decrypt"],
    }


@pytest.mark.parametrize("stack", STACKS)
def test_the_migration_sees_which_dumps_there_are_and_reads_none(stack: str) -> None:
    backups = f"arn:aws:s3:::churn-{stack}-backups-000000000000-eu-central-1"
    assert {what: actions for what, actions in rights(stack, "mlflow-migrate").items() if ":s3:::" in what} == {
        backups: ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetEncryptionConfiguration"],
        f"{backups}/postgres/*/manifest.json": ["s3:GetObject"],
    }


@pytest.mark.parametrize("stack", STACKS)
def test_a_restore_reads_backups_and_adds_artifacts(stack: str) -> None:
    artifacts, backups = (
        f"arn:aws:s3:::churn-{stack}-{what}-000000000000-eu-central-1" for what in ("artifacts", "backups")
    )
    assert {what: actions for what, actions in rights(stack, "restore").items() if ":s3:::" in what} == {
        artifacts: ["s3:GetBucketLocation", "s3:ListBucket"],
        f"{artifacts}/*": ["s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"],
        backups: ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketVersions", "s3:GetEncryptionConfiguration"],
        f"{backups}/*": ["s3:GetObject", "s3:GetObjectVersion"],
    }


def test_a_role_is_for_one_service_account() -> None:
    (statement,) = document(recorded("prod"), "identity-mlflow-role", "assumeRolePolicy")["Statement"]
    issuer = "oidc.eks.eu-central-1.amazonaws.com/id/RECORDED"
    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]
    assert statement["Principal"] == {"Federated": [f"arn:aws:iam::000000000000:oidc-provider/{issuer}"]}
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:sub": "system:serviceaccount:churn-mlops:mlflow",
            f"{issuer}:aud": "sts.amazonaws.com",
        }
    }


def test_with_pod_identity_accounts_are_associated_and_not_annotated() -> None:
    recording = record_with("staging", eks={"identity": "pod-identity"})
    associated = {
        (item.inputs["namespace"], item.inputs["serviceAccount"])
        for item in recording.resources
        if item.type.endswith(":PodIdentityAssociation")
    }
    assert ("churn-mlops", "mlflow") in associated
    accounts = [item for item in recording.resources if item.inputs.get("kind") == "ServiceAccount"]
    assert not [item.name for item in accounts if item.inputs["metadata"].get("annotations")]
    classes = [item for item in recording.resources if item.inputs.get("kind") == "SecretProviderClass"]
    assert {item.inputs["spec"]["parameters"]["usePodIdentity"] for item in classes} == {"true"}


def test_a_wildcard_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="statement All allows s3:"):
        Statement(sid="All", actions=["s3:*"], resources=["arn:aws:s3:::x"])
    with pytest.raises(ValueError, match="letters and digits only"):
        Statement(sid="a-b", actions=["s3:GetObject"])
