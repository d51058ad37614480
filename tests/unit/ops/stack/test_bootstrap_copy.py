"""The copy of Pulumi's state in a second region, on moto, which keeps the rule but copies nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.aws_api import account

from ops.errors import OpsError
from ops.stack.bootstrap import Bootstrap
from ops.stack.bootstrap_copy import ROLE, replication

REGION, SECOND = "eu-central-1", "eu-west-1"


@pytest.fixture
def session() -> Iterator[Any]:
    """A session in an account that has AWS' own policies, which the roles get."""
    with account(REGION, managed_policies=True) as opened:
        yield opened


def test_bucket_and_key_exist_in_the_second_region_and_s3_fills_the_bucket(session: Any) -> None:
    first = Bootstrap(session, REGION, "acme/churn", second_region=SECOND)
    variables = first.run()
    copy = f"{first.bucket}-{SECOND}"
    assert variables["PULUMI_BACKEND_URL of the copy"] == f"s3://{copy}?region={SECOND}"
    s3, iam = session.client("s3"), session.client("iam")
    replication = s3.get_bucket_replication(Bucket=first.bucket)["ReplicationConfiguration"]
    (rule,) = replication["Rules"]
    assert rule["Destination"]["Bucket"] == f"arn:aws:s3:::{copy}"
    assert replication["Role"] == iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    assert s3.get_bucket_versioning(Bucket=copy)["Status"] == "Enabled"
    assert s3.get_bucket_location(Bucket=copy)["LocationConstraint"] == SECOND
    (refusal,) = json.loads(s3.get_bucket_policy(Bucket=copy)["Policy"])["Statement"]
    assert refusal["Resource"] == [f"arn:aws:s3:::{copy}", f"arn:aws:s3:::{copy}/*"]
    keys = {
        region: session.client("kms", region_name=region).describe_key(KeyId="alias/churn-pulumi")["KeyMetadata"]
        for region in (REGION, SECOND)
    }
    assert keys[REGION]["KeyId"] == keys[SECOND]["KeyId"], "two forms of one key, with the same material"
    encryption = rule["Destination"]["EncryptionConfiguration"]
    assert encryption == {"ReplicaKmsKeyID": keys[SECOND]["Arn"]}
    again = Bootstrap(session, REGION, "acme/churn", second_region=SECOND)
    assert again.run() == variables
    assert again.done == []


def test_a_released_lock_does_not_stay_in_the_copy() -> None:
    """By the request: moto answers that deletions are not copied, whatever it was asked."""
    (rule,) = replication("role", "copy", "key")["Rules"]
    assert rule["DeleteMarkerReplication"] == {"Status": "Enabled"}
    assert rule["SourceSelectionCriteria"] == {"SseKmsEncryptedObjects": {"Status": "Enabled"}}


def test_a_key_of_one_region_is_refused_with_the_way_out(session: Any) -> None:
    kms = session.client("kms")
    key = kms.create_key(Description="from before")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/churn-pulumi", TargetKeyId=key)
    with pytest.raises(OpsError, match="change-secrets-provider"):
        Bootstrap(session, REGION, "acme/churn", second_region=SECOND).run()


def test_a_copy_in_the_same_region_is_none(session: Any) -> None:
    with pytest.raises(OpsError, match="would be lost together with eu-central-1"):
        Bootstrap(session, REGION, "acme/churn", second_region=REGION).run()
