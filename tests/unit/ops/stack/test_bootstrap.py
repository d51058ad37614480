"""The bootstrap of an AWS account, on moto: created once, unchanged when run again, and locked down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.aws.keys import LAUNCHER
from infra.aws.registry import KEEP_IMAGES, lifecycle
from infra.versions import OWN
from ops.errors import OpsError
from ops.stack import bootstrap, service_roles
from ops.stack.bootstrap import ISSUER, Bootstrap

REGION = "eu-central-1"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        yield boto3.Session(region_name=REGION)


def test_a_second_run_creates_nothing_and_prints_the_same(session: Any) -> None:
    first = Bootstrap(session, REGION, "acme/churn")
    variables = first.run()
    kinds = [what.split()[0] for what in first.done]
    assert kinds == ["key", "bucket", "provider", *["role"] * 3, *["service-role"] * 2, "key", *["repository"] * 4]
    again = Bootstrap(session, REGION, "acme/churn")
    assert again.run() == variables
    assert again.done == []
    assert variables["PULUMI_BACKEND_URL"] == f"s3://{first.bucket}?region={REGION}"


def test_the_default_region_of_s3_works_too(session: Any) -> None:
    bootstrapped = Bootstrap(session, "us-east-1", "acme/churn")
    assert bootstrapped.run()["PULUMI_BACKEND_URL"] == f"s3://{bootstrapped.bucket}?region=us-east-1"


def test_the_state_is_versioned_encrypted_and_closed(session: Any) -> None:
    bootstrapped = Bootstrap(session, REGION, "acme/churn")
    bootstrapped.run()
    s3 = session.client("s3")
    assert s3.get_bucket_versioning(Bucket=bootstrapped.bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=bootstrapped.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    block = s3.get_public_access_block(Bucket=bootstrapped.bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    (refusal,) = json.loads(s3.get_bucket_policy(Bucket=bootstrapped.bucket)["Policy"])["Statement"]
    assert (refusal["Effect"], refusal["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_only_this_repositorys_workflows_can_take_the_roles(session: Any) -> None:
    Bootstrap(session, REGION, "acme/churn").run()
    iam = session.client("iam")
    subjects = {}
    for role in bootstrap.ROLES:
        (statement,) = iam.get_role(RoleName=f"churn-{role}")["Role"]["AssumeRolePolicyDocument"]["Statement"]
        equal = statement["Condition"]["StringEquals"]
        assert equal[f"{ISSUER}:aud"] == "sts.amazonaws.com"
        subjects[role] = equal[f"{ISSUER}:sub"]
    assert all(
        subject.startswith("repo:acme/churn:") and "*" not in subject for s in subjects.values() for subject in s
    )
    assert subjects["deploy"] == ["repo:acme/churn:environment:staging", "repo:acme/churn:environment:prod"]
    attached = iam.list_attached_role_policies(RoleName="churn-preview")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["ReadOnlyAccess"]
    assert iam.list_attached_role_policies(RoleName="churn-images")["AttachedPolicies"] == []


def test_drift_is_corrected(session: Any) -> None:
    bootstrapped = Bootstrap(session, REGION, "acme/churn")
    bootstrapped.run()
    s3 = session.client("s3")
    s3.put_bucket_versioning(Bucket=bootstrapped.bucket, VersioningConfiguration={"Status": "Suspended"})
    Bootstrap(session, REGION, "acme/churn").run()
    assert s3.get_bucket_versioning(Bucket=bootstrapped.bucket)["Status"] == "Enabled"


def test_a_malformed_repository_is_refused(session: Any) -> None:
    with pytest.raises(OpsError, match="'churn' is not a repository: give OWNER/NAME"):
        Bootstrap(session, REGION, "churn")


def test_a_fresh_account_gets_the_roles_that_no_service_creates_itself(session: Any) -> None:
    """KMS refuses the policy of a key that names Auto Scaling's role before the account has it."""
    iam = session.client("iam")
    assert iam.list_roles(PathPrefix="/aws-service-role/")["Roles"] == []
    Bootstrap(session, REGION, "acme/churn").run()
    arns = [role["Arn"].partition(":role/")[2] for role in iam.list_roles(PathPrefix="/aws-service-role/")["Roles"]]
    assert LAUNCHER in arns
    assert {arn.split("/")[1] for arn in arns} == set(service_roles.SERVICES)


def test_images_have_repositories_before_any_stack(session: Any) -> None:
    variables = Bootstrap(session, REGION, "acme/churn").run()
    ecr = session.client("ecr", region_name=REGION)
    known = {item["repositoryName"]: item for item in ecr.describe_repositories()["repositories"]}
    assert set(known) == {f"churn/{image}" for image in OWN}
    for name, item in known.items():
        assert item["repositoryUri"] == f"{variables['ECR_REGISTRY']}/{name.removeprefix('churn/')}"
        assert item["imageTagMutability"] == "IMMUTABLE"
        assert item["imageScanningConfiguration"] == {"scanOnPush": True}
        assert item["encryptionConfiguration"]["encryptionType"] == "KMS"
        rules = json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])
        assert rules == lifecycle(KEEP_IMAGES)


def test_a_repository_that_drifted_is_corrected(session: Any) -> None:
    Bootstrap(session, REGION, "acme/churn").run()
    ecr = session.client("ecr", region_name=REGION)
    ecr.put_image_tag_mutability(repositoryName="churn/api", imageTagMutability="MUTABLE")
    Bootstrap(session, REGION, "acme/churn").run()
    (item,) = ecr.describe_repositories(repositoryNames=["churn/api"])["repositories"]
    assert item["imageTagMutability"] == "IMMUTABLE"


def test_a_deployment_may_stay_as_long_as_its_workflow(session: Any) -> None:
    Bootstrap(session, REGION, "acme/churn").run()
    iam = session.client("iam")
    seconds = {role: iam.get_role(RoleName=f"churn-{role}")["Role"]["MaxSessionDuration"] for role in bootstrap.ROLES}
    assert seconds == {
        role: bootstrap.SESSION_HOURS * 3600 if role.startswith("deploy") else 3600 for role in bootstrap.ROLES
    }
