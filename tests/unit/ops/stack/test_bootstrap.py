"""The bootstrap of an AWS account, on moto: created once, unchanged when run again, and locked down."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from support.aws_api import account

from infra.aws.image_retention import KEEP_COMMITS, lifecycle
from infra.aws.keys import LAUNCHER
from infra.versions import OWN
from ops.errors import OpsError
from ops.stack import bootstrap, ci_roles, github_rules, service_roles
from ops.stack.bootstrap import Bootstrap
from ops.stack.ci_roles import ISSUER

REGION = "eu-central-1"


@pytest.fixture
def session() -> Iterator[Any]:
    """A session in an account that has AWS' own policies, which the roles get."""
    with account(REGION, managed_policies=True) as opened:
        yield opened


class Prepared(NamedTuple):
    """What the bootstrap leaves in an empty account."""

    variables: dict[str, str]
    versioning: str
    encryption: list[Any]
    block: dict[str, bool]
    refusals: list[Any]
    trust: dict[str, Any]
    """The one statement by role."""
    attached: dict[str, list[str]]
    """Names of managed policies by role."""
    boundaries: dict[str, str]
    aliases: dict[str, str]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """Look at everything once, since an account with AWS' own policies takes seconds to make."""
    with account(REGION, managed_policies=True) as opened:
        bootstrapped = Bootstrap(opened, REGION, "acme/churn")
        variables = bootstrapped.run()
        s3, iam, where = opened.client("s3"), opened.client("iam"), {"Bucket": bootstrapped.bucket}
        names = [role.name for role in ci_roles.roles()]
        roles = {name: iam.get_role(RoleName=f"churn-{name}")["Role"] for name in names}
        policies = {name: iam.list_attached_role_policies(RoleName=f"churn-{name}") for name in names}
        return Prepared(
            variables=variables,
            versioning=s3.get_bucket_versioning(**where)["Status"],
            encryption=s3.get_bucket_encryption(**where)["ServerSideEncryptionConfiguration"]["Rules"],
            block=s3.get_public_access_block(**where)["PublicAccessBlockConfiguration"],
            refusals=json.loads(s3.get_bucket_policy(**where)["Policy"])["Statement"],
            trust={name: role["AssumeRolePolicyDocument"]["Statement"][0] for name, role in roles.items()},
            attached={
                name: [policy["PolicyName"] for policy in answer["AttachedPolicies"]]
                for name, answer in policies.items()
            },
            boundaries={
                name: role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "").rpartition("/")[2]
                for name, role in roles.items()
            },
            aliases={
                entry["AliasName"]: entry.get("TargetKeyId", "")
                for entry in opened.client("kms").list_aliases()["Aliases"]
            },
        )


def test_the_state_is_versioned_encrypted_and_closed(prepared: Prepared) -> None:
    assert prepared.versioning == "Enabled"
    (rule,) = prepared.encryption
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert set(prepared.block.values()) == {True}
    (refusal,) = prepared.refusals
    assert (refusal["Effect"], refusal["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_only_this_repositorys_workflows_can_take_the_roles(prepared: Prepared) -> None:
    subjects = {}
    for role, statement in prepared.trust.items():
        equal = statement["Condition"]["StringEquals"]
        assert equal[f"{ISSUER}:aud"] == "sts.amazonaws.com"
        subjects[role] = equal[f"{ISSUER}:sub"]
    assert all(
        subject.startswith("repo:acme/churn:") and "*" not in subject for s in subjects.values() for subject in s
    )
    for stack in ("staging", "prod"):
        assert subjects[f"deploy-{stack}"] == [f"repo:acme/churn:environment:{stack}"]
        assert subjects[f"drift-{stack}"] == subjects["images"] == ["repo:acme/churn:ref:refs/heads/main"]
    assert subjects["preview"] == ["repo:acme/churn:pull_request"]


def test_the_roles_have_their_managed_policies_within_their_boundaries(prepared: Prepared) -> None:
    for role in ci_roles.roles():
        assert prepared.attached[role.name] == ([role.managed] if role.managed else [])
        assert prepared.boundaries[role.name] == (f"churn-boundary-{role.stack}" if role.managed else "")


def test_each_stack_has_a_key_of_its_own(prepared: Prepared) -> None:
    keys = {stack: prepared.variables[f"{stack}/PULUMI_SECRETS_KEY"] for stack in ("staging", "prod")}
    assert keys == {stack: f"awskms:///alias/churn-pulumi-{stack}?region={REGION}" for stack in ("staging", "prod")}
    names = ("alias/churn-pulumi", "alias/churn-pulumi-staging", "alias/churn-pulumi-prod")
    assert len({prepared.aliases[name] for name in names}) == 3


def test_github_is_told_who_may_deploy() -> None:
    printed = github_rules.commands("acme/churn")
    bodies = [json.loads(shlex.split(command)[1]) for command in printed]
    paths = [shlex.split(command)[7] for command in printed]
    assert paths == [
        "repos/acme/churn/rulesets",
        "repos/acme/churn/environments/staging",
        "repos/acme/churn/environments/staging/deployment-branch-policies",
        "repos/acme/churn/environments/prod",
        "repos/acme/churn/environments/prod/deployment-branch-policies",
    ]
    rules = {rule["type"]: rule.get("parameters", {}) for rule in bodies[0]["rules"]}
    assert rules["pull_request"]["required_approving_review_count"] >= 1
    assert rules["pull_request"]["require_last_push_approval"] is True
    assert bodies[0]["bypass_actors"] == []
    assert bodies[2] == bodies[4] == {"name": "main", "type": "branch"}
    assert bodies[3]["prevent_self_review"] is True
    assert len(bodies[3]["reviewers"]) >= 1


def test_a_second_run_creates_nothing_and_prints_the_same(session: Any) -> None:
    first = Bootstrap(session, REGION, "acme/churn")
    variables = first.run()
    kinds = ["key"] * 3 + ["bucket", "provider"] + ["boundary"] * 2 + ["role"] * 6 + ["service-role"] * 2
    kinds += ["key", *["repository"] * 4]
    assert [what.split()[0] for what in first.done] == kinds
    again = Bootstrap(session, REGION, "acme/churn")
    assert again.run() == variables
    assert again.done == []
    assert variables["PULUMI_BACKEND_URL"] == f"s3://{first.bucket}?region={REGION}"


def test_the_default_region_of_s3_works_too(session: Any) -> None:
    bootstrapped = Bootstrap(session, "us-east-1", "acme/churn")
    assert bootstrapped.run()["PULUMI_BACKEND_URL"] == f"s3://{bootstrapped.bucket}?region=us-east-1"


def test_a_stage_can_have_an_account_of_its_own(session: Any) -> None:
    bootstrapped = Bootstrap(session, REGION, "acme/churn", ["prod"])
    variables = bootstrapped.run()
    names = {role["RoleName"] for role in session.client("iam").list_roles()["Roles"]}
    assert {name for name in names if name.startswith("churn-")} == {"churn-drift-prod", "churn-deploy-prod"}
    assert "AWS_PREVIEW_ROLE" not in variables
    assert variables["prod/AWS_DEPLOY_ROLE"].endswith(":role/churn-deploy-prod")


def test_the_other_account_pulls_from_the_repositories_and_its_deployments_mark_what_runs(session: Any) -> None:
    other = "210987654321"
    Bootstrap(session, REGION, "acme/churn", ["staging"], pullers=[other]).run()
    policies = [
        json.loads(session.client("ecr").get_repository_policy(repositoryName=f"churn/{image}")["policyText"])
        for image in OWN
    ]
    (pull, mark), *_ = (policy["Statement"] for policy in policies)
    assert {json.dumps(policy, sort_keys=True) for policy in policies} == {json.dumps(policies[0], sort_keys=True)}
    assert pull["Principal"] == mark["Principal"] == {"AWS": [f"arn:aws:iam::{other}:root"]}
    assert not [
        action for action in pull["Action"] if not re.match("ecr:(BatchGet|BatchCheck|Describe|GetDownload)", action)
    ]
    assert mark["Action"] == ["ecr:PutImage"]
    assert mark["Condition"] == {"ArnLike": {"aws:PrincipalArn": [f"arn:aws:iam::{other}:role/churn-deploy-*"]}}
    Bootstrap(session, REGION, "acme/churn", ["staging"]).run()
    assert session.client("ecr").get_repository_policy(repositoryName="churn/api"), "a policy is not taken away"


def test_an_account_that_is_none_is_refused(session: Any) -> None:
    with pytest.raises(OpsError, match="'prod' is not an account: give its twelve digits"):
        Bootstrap(session, REGION, "acme/churn", pullers=["prod"])


def test_a_boundary_that_was_changed_is_put_right(session: Any) -> None:
    first = Bootstrap(session, REGION, "acme/churn")
    first.run()
    iam, arn = session.client("iam"), f"arn:aws:iam::{first.account}:policy/churn-boundary-prod"
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    for _ in range(4):  # IAM keeps five versions
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(everything), SetAsDefault=True)
    again = Bootstrap(session, REGION, "acme/churn")
    again.run()
    assert again.done == ["new version of churn-boundary-prod"]
    current = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]["Document"]
    assert "BoundaryStays" in {statement["Sid"] for statement in document["Statement"]}


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
        assert item["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert item["imageScanningConfiguration"] == {"scanOnPush": True}
        assert item["encryptionConfiguration"]["encryptionType"] == "KMS"
        rules = json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])
        assert rules == lifecycle(KEEP_COMMITS)


def test_a_repository_that_drifted_is_corrected(session: Any) -> None:
    Bootstrap(session, REGION, "acme/churn").run()
    ecr = session.client("ecr", region_name=REGION)
    ecr.put_image_tag_mutability(repositoryName="churn/api", imageTagMutability="MUTABLE")
    Bootstrap(session, REGION, "acme/churn").run()
    (item,) = ecr.describe_repositories(repositoryNames=["churn/api"])["repositories"]
    assert item["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"


def test_a_deployment_may_stay_as_long_as_its_workflow(session: Any) -> None:
    Bootstrap(session, REGION, "acme/churn").run()
    iam = session.client("iam")
    names = [role.name for role in ci_roles.roles()]
    seconds = {name: iam.get_role(RoleName=f"churn-{name}")["Role"]["MaxSessionDuration"] for name in names}
    assert seconds == {name: bootstrap.SESSION_HOURS * 3600 if name.startswith("deploy-") else 3600 for name in names}
