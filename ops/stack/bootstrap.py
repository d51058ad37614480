"""Prepare an AWS account for the first `pulumi up`: ``python -m ops.stack.bootstrap``, run by an administrator.

It creates a bucket for Pulumi's state, a key for the secrets of each stack, GitHub's OIDC provider, and the roles that
workflows assume (`ops.stack.ci_roles`): to preview, to push images, and for each environment to deploy and to look
for drift, within a boundary; the roles of services that a fresh account lacks; and the repositories of our images.
Running it again only corrects what has drifted. It prints the variables to set in the repository, and the commands that
protect its branch and its environments. Where stages have accounts of their own, it is run once in each, with
`--environment`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

from infra.naming import ENVIRONMENTS, PREVIEWED, boundary_name
from ops.errors import OpsError, exit_code
from ops.stack import ci_roles, github_rules, repositories, service_roles
from ops.stack.bootstrap_copy import StateCopy
from ops.stack.ci_roles import AUDIENCE, ISSUER, Place, Role

REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")
ACCOUNT: Final = re.compile(r"\d{12}")
KEY: Final = "alias/churn-pulumi"
"""Encrypts the state's bucket; each stack's secrets have a key of their own, so that no state opens another."""
SESSION_HOURS: Final = 5
"""How long a deployment's credentials are good for; AWS' default is an hour. They must outlive the longest `pulumi up`:
once they expire, what was just created gets into no state, since that is written with them too."""


class Bootstrap:
    """One account and region, and the environments in it; ``session`` is boto3's."""

    def __init__(
        self,
        session: Any,
        region: str,
        repository: str,
        environments: Sequence[str] = ENVIRONMENTS,
        second_region: str = "",
        pullers: Sequence[str] = (),
    ) -> None:
        if not REPOSITORY.fullmatch(repository):
            raise OpsError(f"{repository!r} is not a repository: give OWNER/NAME")
        for number in pullers:
            if not ACCOUNT.fullmatch(number):
                raise OpsError(f"{number!r} is not an account: give its twelve digits")
        self._pullers = tuple(pullers)
        self._session = session
        self._s3 = session.client("s3", region_name=region)
        self._kms = session.client("kms", region_name=region)
        self._iam = session.client("iam")
        self.account: str = session.client("sts", region_name=region).get_caller_identity()["Account"]
        self.region, self.repository, self.environments = region, repository, tuple(environments)
        self.second_region = second_region
        self.bucket = f"churn-pulumi-state-{self.account}"
        self.done: list[str] = []

    def run(self) -> dict[str, str]:
        """Create what is missing; returns the repository's variables, with those of an environment as ENV/NAME."""
        place = Place(
            account=self.account,
            region=self.region,
            bucket=self.bucket,
            bucket_key=self._key(KEY),
            stack_keys={stack: self._key(f"{KEY}-{stack}") for stack in self.environments},
        )
        self._state(place.bucket_key)
        provider = self._provider()
        for stack in self.environments:
            self._boundary(stack, place)
        arns = {role.name: self._role(role, provider, place) for role in ci_roles.roles(self.environments)}
        self.done += [f"service-role {name}" for name in service_roles.create(self._iam)]
        return self._copy(place) | self._variables(arns) | self._registry()

    def _registry(self) -> dict[str, str]:
        """Create the repositories, which are where the images are pushed; other accounts pull from there."""
        if PREVIEWED not in self.environments:
            return {}
        address, created = repositories.create(self._session, self.account, self.region, self._pullers)
        self.done += created
        return {"ECR_REGISTRY": address}

    def _variables(self, arns: dict[str, str]) -> dict[str, str]:
        backend = f"s3://{self.bucket}?region={self.region}"
        variables = {}
        if PREVIEWED in self.environments:
            variables = {
                "AWS_REGION": self.region,
                "AWS_PREVIEW_ROLE": arns["preview"],
                "AWS_IMAGES_ROLE": arns["images"],
                "PULUMI_BACKEND_URL": backend,
            }
        for stack in self.environments:
            variables |= {
                f"AWS_DRIFT_ROLE_{stack.upper()}": arns[f"drift-{stack}"],
                f"PULUMI_BACKEND_URL_{stack.upper()}": backend,
                f"{stack}/AWS_DEPLOY_ROLE": arns[f"deploy-{stack}"],
                f"{stack}/AWS_REGION": self.region,
                f"{stack}/PULUMI_BACKEND_URL": backend,
                f"{stack}/PULUMI_SECRETS_KEY": f"awskms:///{KEY}-{stack}?region={self.region}",
            }
        return variables

    def _copy(self, place: Place) -> dict[str, str]:
        """Copy the state and its keys to a second region, if there is one."""
        if not self.second_region:
            return {}
        copy = StateCopy(
            session=self._session,
            region=self.region,
            bucket=self.bucket,
            key_arn=place.bucket_key,
            alias=KEY,
            stack_keys={f"{KEY}-{stack}": arn for stack, arn in place.stack_keys.items()},
            account=self.account,
            second_region=self.second_region,
            done=self.done,
        )
        return copy.run(tls_only(copy.target))

    def _key(self, alias: str) -> str:
        pages = self._kms.get_paginator("list_aliases").paginate()
        known = {entry["AliasName"]: entry.get("TargetKeyId") for page in pages for entry in page["Aliases"]}
        key_id = known.get(alias)
        if key_id is None:
            # A key cannot become a multi-region one later, and only such a key decrypts the state in a second region.
            created = self._kms.create_key(Description=f"{alias}: Pulumi's state", MultiRegion=True)
            key_id = created["KeyMetadata"]["KeyId"]
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

    def _boundary(self, stack: str, place: Place) -> None:
        """Create a stack's boundary, or make a new version the one that counts; IAM keeps five, so old ones go."""
        arn, text = place.boundary(stack), json.dumps(ci_roles.boundary(stack, place), separators=(",", ":"))
        try:
            versions = self._iam.list_policy_versions(PolicyArn=arn)["Versions"]
        except self._iam.exceptions.NoSuchEntityException:
            self._iam.create_policy(PolicyName=boundary_name(stack), PolicyDocument=text)
            self.done.append(f"boundary {boundary_name(stack)}")
            return
        (current,) = (version["VersionId"] for version in versions if version["IsDefaultVersion"])
        document = self._iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]["Document"]
        if document == json.loads(text):
            return
        for version in versions:
            if not version["IsDefaultVersion"]:
                self._iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        self._iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
        self.done.append(f"new version of {boundary_name(stack)}")

    def _role(self, role: Role, provider: str, place: Place) -> str:
        name, policy = f"churn-{role.name}", json.dumps(ci_roles.trust(provider, self.repository, role))
        bounded = role.stack if role.is_bounded else None
        limits = {} if bounded is None else {"PermissionsBoundary": place.boundary(bounded)}
        try:
            arn: str = self._iam.get_role(RoleName=name)["Role"]["Arn"]
            self._iam.update_assume_role_policy(RoleName=name, PolicyDocument=policy)
            if limits:
                self._iam.put_role_permissions_boundary(RoleName=name, **limits)
        except self._iam.exceptions.NoSuchEntityException:
            arn = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy, **limits)["Role"]["Arn"]
            self.done.append(f"role {name}")
        if role.managed is not None:
            self._iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{role.managed}")
        if role.managed == ci_roles.ADMINISTRATOR:
            self._iam.update_role(RoleName=name, MaxSessionDuration=SESSION_HOURS * 3600)
        own = {"Version": "2012-10-17", "Statement": ci_roles.rights(role, place)}
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
    parser.add_argument(
        "--environment",
        action="append",
        choices=ENVIRONMENTS,
        help="environment in this account; may be repeated (default: all)",
    )
    parser.add_argument(
        "--puller",
        action="append",
        default=[],
        metavar="ACCOUNT",
        help="another account whose clusters pull the images",
    )
    parser.add_argument("--second-region", default="", help="region with a copy of the state; none by default")
    options = parser.parse_args(argv)
    environments = options.environment or ENVIRONMENTS
    try:
        session = boto3.Session()
        bootstrap = Bootstrap(
            session, options.region, options.repository, environments, options.second_region, options.puller
        )
        variables = bootstrap.run()
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program that an administrator runs
        return exit_code(error)
    lines = [*(f"created {what}" for what in bootstrap.done), *(f"{k}={v}" for k, v in variables.items())]
    for line in [*lines, *github_rules.commands(options.repository)]:
        print(line)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
