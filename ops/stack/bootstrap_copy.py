"""A second home of Pulumi's state in another region: its bucket is replicated there, and its key exists there too.

Without it, a lost region would take with it what the stacks consist of, and the key that the state's secrets are
encrypted with. The key is a multi-region key, so either of its two forms decrypts what the other has encrypted (KMS
developer guide, "Multi-Region keys").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ops.errors import OpsError

ROLE: Final = "churn-state-copy"
CLOSED: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def rights(source: str, source_key: str, target: str, target_key: str) -> list[dict[str, Any]]:
    """Return what S3 may do to copy versions from one bucket to another; buckets by name, keys by ARN."""
    return [
        {
            "Effect": "Allow",
            "Action": ["s3:GetReplicationConfiguration", "s3:ListBucket"],
            "Resource": f"arn:aws:s3:::{source}",
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
            ],
            "Resource": f"arn:aws:s3:::{source}/*",
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"],
            "Resource": f"arn:aws:s3:::{target}/*",
        },
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": source_key},
        {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": target_key},
    ]


def replication(role: str, target: str, key: str) -> dict[str, Any]:
    """Return how S3 copies the bucket: each object and its deletion, encrypted with the key of the other region."""
    rule = {
        "ID": "all",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        # A lock that was released must not stay in the copy. What is deleted stays there as an older version.
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        "Destination": {
            "Bucket": f"arn:aws:s3:::{target}",
            "EncryptionConfiguration": {"ReplicaKmsKeyID": key},
        },
    }
    return {"Role": role, "Rules": [rule]}


@dataclass(frozen=True, kw_only=True)
class StateCopy:
    """The state's bucket with its key, and the region of the copy; ``session`` is boto3's."""

    session: Any
    region: str
    bucket: str
    key_arn: str
    alias: str
    stack_keys: Mapping[str, str]
    """ARN of the key of each stack's secrets, by its alias."""
    account: str
    second_region: str
    done: list[str] = field(default_factory=list)

    @property
    def target(self) -> str:
        """Name of the copy's bucket."""
        return f"{self.bucket}-{self.second_region}"

    def run(self, policy: dict[str, Any]) -> dict[str, str]:
        """Create what is missing; returns where the copy is, in the form of the repository's variables.

        ``policy`` is that of the copy's bucket.

        Raises:
            OpsError: the second region is the first, or the key exists in one region only.
        """
        if self.second_region == self.region:
            raise OpsError(f"the copy would be lost together with {self.region}: name another region for it")
        key = self._key(self.alias, self.key_arn)
        for alias, arn in self.stack_keys.items():
            self._key(alias, arn)
        self._bucket(key, policy)
        self._replicate(self._role(key), key)
        place = f"region={self.second_region}"
        return {
            "PULUMI_BACKEND_URL of the copy": f"s3://{self.target}?{place}",
            **{f"{alias} of the copy": f"awskms:///{alias}?{place}" for alias in self.stack_keys},
        }

    def _key(self, alias: str, key_arn: str) -> str:
        first = self.session.client("kms", region_name=self.region)
        described = first.describe_key(KeyId=key_arn)["KeyMetadata"]
        if not described.get("MultiRegion"):
            raise OpsError(
                f"{key_arn} exists in one region only, which cannot be changed: create a multi-region key, move "
                f"{alias} to it, and run `pulumi stack change-secrets-provider` for each stack"
            )
        second = self.session.client("kms", region_name=self.second_region)
        arn: str = key_arn.replace(f":{self.region}:", f":{self.second_region}:")
        try:
            second.describe_key(KeyId=arn)
        except second.exceptions.NotFoundException:
            first.replicate_key(KeyId=described["KeyId"], ReplicaRegion=self.second_region)
            self.done.append(f"key {alias} in {self.second_region}")
        pages = second.get_paginator("list_aliases").paginate()
        if alias not in {entry["AliasName"] for page in pages for entry in page["Aliases"]}:
            second.create_alias(AliasName=alias, TargetKeyId=arn)
        return arn

    def _bucket(self, key: str, policy: dict[str, Any]) -> None:
        s3 = self.session.client("s3", region_name=self.second_region)
        if self.target not in {entry["Name"] for entry in s3.list_buckets()["Buckets"]}:
            named = {"CreateBucketConfiguration": {"LocationConstraint": self.second_region}}
            # S3 refuses to have its default region named.
            s3.create_bucket(Bucket=self.target, **({} if self.second_region == "us-east-1" else named))
            self.done.append(f"bucket {self.target}")
        s3.put_public_access_block(Bucket=self.target, PublicAccessBlockConfiguration=dict.fromkeys(CLOSED, True))
        s3.put_bucket_versioning(Bucket=self.target, VersioningConfiguration={"Status": "Enabled"})
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
        s3.put_bucket_encryption(Bucket=self.target, ServerSideEncryptionConfiguration={"Rules": [rule]})
        s3.put_bucket_policy(Bucket=self.target, Policy=json.dumps(policy))

    def _role(self, key: str) -> str:
        iam = self.session.client("iam")
        statement = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceAccount": self.account}},
        }
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        try:
            arn: str = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
            iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust)
        except iam.exceptions.NoSuchEntityException:
            arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
            self.done.append(f"role {ROLE}")
        own = {"Version": "2012-10-17", "Statement": rights(self.bucket, self.key_arn, self.target, key)}
        iam.put_role_policy(RoleName=ROLE, PolicyName="own", PolicyDocument=json.dumps(own))
        return arn

    def _replicate(self, role: str, key: str) -> None:
        s3 = self.session.client("s3", region_name=self.region)
        s3.put_bucket_replication(Bucket=self.bucket, ReplicationConfiguration=replication(role, self.target, key))
