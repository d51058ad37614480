"""Prepare an AWS account for the first `pulumi up`: ``python -m ops.stack.bootstrap``, run by an administrator.

It creates a bucket for Pulumi's state, a key for the secrets in it, GitHub's OIDC provider, and three roles that
workflows assume: to preview (read only), to deploy, and to push images. Running it again only corrects what has
drifted. It prints the variables to set in the repository.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ops.errors import OpsError, exit_code
from ops.stack.bootstrap_copy import StateCopy

ALIAS: Final = "alias/churn-pulumi"
ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"
REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")
ROLES: Final = {"preview": "ReadOnlyAccess", "deploy": "AdministratorAccess", "images": None}
"""Managed policy of each role. A deployment creates roles and policies itself, so lesser rights would not bound it. Its
bound is that only the repository's environments, which have reviewers, can assume the role."""
ENVIRONMENTS: Final = ("staging", "prod")


def trust(provider_arn: str, repository: str, role: str) -> dict[str, Any]:
    """Return who may assume a role: pull requests for preview, the main branch for images, environments for deploy."""
    subjects = {
        "preview": [f"repo:{repository}:pull_request", f"repo:{repository}:ref:refs/heads/main"],
        "images": [f"repo:{repository}:ref:refs/heads/main"],
        "deploy": [f"repo:{repository}:environment:{environment}" for environment in ENVIRONMENTS],
    }[role]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Principal": {"Federated": provider_arn},
                "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subjects}},
            }
        ],
    }


def rights(role: str, bucket: str, key_arn: str, account: str, region: str) -> list[dict[str, Any]]:
    """Return what a role may do besides its managed policy."""
    if role == "images":
        return [
            {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:CompleteLayerUpload",
                    "ecr:DescribeImages",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ],
                "Resource": f"arn:aws:ecr:{region}:{account}:repository/churn/*",
            },
        ]
    state = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    actions = ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"]
    return [
        # A preview locks the state too.
        {"Effect": "Allow", "Action": actions, "Resource": state},
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"], "Resource": key_arn},
    ]


class Bootstrap:
    """One account and region; ``session`` is boto3's."""

    def __init__(self, session: Any, region: str, repository: str, second_region: str = "") -> None:
        if not REPOSITORY.fullmatch(repository):
            raise OpsError(f"{repository!r} is not a repository: give OWNER/NAME")
        self._s3 = session.client("s3", region_name=region)
        self._kms = session.client("kms", region_name=region)
        self._iam = session.client("iam")
        self.account: str = session.client("sts", region_name=region).get_caller_identity()["Account"]
        self.region, self.repository, self.second_region = region, repository, second_region
        self._session = session
        self.bucket = f"churn-pulumi-state-{self.account}"
        self.done: list[str] = []

    def run(self) -> dict[str, str]:
        """Create what is missing; returns the variables for the repository."""
        key_arn = self._key()
        self._state(key_arn)
        provider = self._provider()
        roles = {role: self._role(role, provider, key_arn) for role in ROLES}
        return self._copy(key_arn) | {
            "AWS_REGION": self.region,
            "AWS_PREVIEW_ROLE": roles["preview"],
            "AWS_DEPLOY_ROLE": roles["deploy"],
            "AWS_IMAGES_ROLE": roles["images"],
            "PULUMI_BACKEND_URL": f"s3://{self.bucket}?region={self.region}",
            "PULUMI_SECRETS_KEY": f"awskms:///{ALIAS}?region={self.region}",
        }

    def _copy(self, key_arn: str) -> dict[str, str]:
        """Copy the state to a second region, if there is one."""
        if not self.second_region:
            return {}
        copy = StateCopy(
            session=self._session,
            region=self.region,
            bucket=self.bucket,
            key_arn=key_arn,
            alias=ALIAS,
            account=self.account,
            second_region=self.second_region,
            done=self.done,
        )
        return copy.run(tls_only(copy.target))

    def _key(self) -> str:
        alias = ALIAS
        pages = self._kms.get_paginator("list_aliases").paginate()
        known = {entry["AliasName"]: entry.get("TargetKeyId") for page in pages for entry in page["Aliases"]}
        key_id = known.get(alias)
        if key_id is None:
            key_id = self._kms.create_key(
                Description="Pulumi's secrets and state",
                # A key cannot become one later, and only such a key can decrypt the state in a second region.
                MultiRegion=True,
            )["KeyMetadata"]["KeyId"]
            self._kms.create_alias(AliasName=alias, TargetKeyId=key_id)
            self.done.append(f"key {alias}")
        self._kms.enable_key_rotation(KeyId=key_id)
        arn: str = self._kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
        return arn

    def _state(self, key_arn: str) -> None:
        names = {entry["Name"] for entry in self._s3.list_buckets()["Buckets"]}
        if self.bucket not in names:
            # S3 refuses to have its default region named.
            named = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
            self._s3.create_bucket(Bucket=self.bucket, **({} if self.region == "us-east-1" else named))
            self.done.append(f"bucket {self.bucket}")
        closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        self._s3.put_public_access_block(Bucket=self.bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True))
        self._s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
        self._s3.put_bucket_encryption(
            Bucket=self.bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
            },
        )
        self._s3.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(tls_only(self.bucket)))

    def _provider(self) -> str:
        arn = f"arn:aws:iam::{self.account}:oidc-provider/{ISSUER}"
        known = [entry["Arn"] for entry in self._iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
        if arn not in known:
            self._iam.create_open_id_connect_provider(Url=f"https://{ISSUER}", ClientIDList=[AUDIENCE])
            self.done.append(f"provider {ISSUER}")
        return arn

    def _role(self, role: str, provider: str, key_arn: str) -> str:
        name, policy = f"churn-{role}", json.dumps(trust(provider, self.repository, role))
        try:
            arn: str = self._iam.get_role(RoleName=name)["Role"]["Arn"]
            self._iam.update_assume_role_policy(RoleName=name, PolicyDocument=policy)
        except self._iam.exceptions.NoSuchEntityException:
            arn = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
            self.done.append(f"role {name}")
        managed = ROLES[role]
        if managed is not None:
            self._iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{managed}")
        own: Mapping[str, Any] = {
            "Version": "2012-10-17",
            "Statement": rights(role, self.bucket, key_arn, self.account, self.region),
        }
        self._iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(own))
        return arn


def tls_only(bucket: str) -> dict[str, Any]:
    """Return a bucket policy that refuses unencrypted connections."""
    refusal = {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [refusal]}


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    import boto3  # noqa: PLC0415 - slow to import, and --help does not need it

    parser = argparse.ArgumentParser(prog="python -m ops.stack.bootstrap", description=__doc__.partition("\n")[0])
    parser.add_argument("--region", required=True, help="region of the stacks, such as eu-central-1")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="GitHub repository that deploys")
    parser.add_argument("--second-region", default="", help="region with a copy of the state; none by default")
    options = parser.parse_args(argv)
    try:
        bootstrap = Bootstrap(boto3.Session(), options.region, options.repository, options.second_region)
        variables = bootstrap.run()
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program that an administrator runs
        return exit_code(error)
    for line in [*(f"created {what}" for what in bootstrap.done), *(f"{k}={v}" for k, v in variables.items())]:
        print(line)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
