"""Recorded buckets, budget and firewall, created through AWS's own API on moto and read back.

This shows that the values have the names, types and structure that the API accepts. Moto does not evaluate policies or
rules, and sends no notifications.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from support.aws_api import account, as_api
from support.recorder import record_with, recorded

STACKS = ("staging", "prod")
ACCOUNT = "123456789012"


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    with account():
        yield


def of_type(stack: str, kind: str) -> list[dict[str, Any]]:
    """Return the inputs of a stack's resources of one type."""
    inputs = [
        item.inputs
        for item in recorded(stack).resources
        if item.type.startswith("aws:") and item.type.endswith(f":{kind}")
    ]
    assert inputs, f"{stack} has no {kind}"
    return inputs


@pytest.mark.parametrize("stack", STACKS)
def test_buckets_take_their_policy_and_are_closed(stack: str) -> None:
    s3 = boto3.client("s3")
    policies = {item["bucket"]: json.loads(item["policy"]) for item in of_type(stack, "BucketPolicy")}
    closed = {item["bucket"]: item for item in of_type(stack, "BucketPublicAccessBlock")}
    assert policies.keys() == closed.keys()
    for name, policy in policies.items():
        s3.create_bucket(Bucket=name)
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
        block = as_api({key: value for key, value in closed[name].items() if key not in {"bucket", "region"}})
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
        assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]) == policy
        assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        only_tls = [item for item in policy["Statement"] if item["Sid"] == "OnlyTls"]
        assert [(item["Effect"], item["Condition"]) for item in only_tls] == [
            ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
        ]


@pytest.mark.parametrize("stack", STACKS)
def test_the_budget_tells_people_at_each_threshold_and_ahead(stack: str) -> None:
    budgets = boto3.client("budgets")
    (recorded_budget,) = of_type(stack, "Budget")
    budget = {
        "BudgetName": recorded_budget["name"],
        "BudgetType": recorded_budget["budgetType"],
        "TimeUnit": recorded_budget["timeUnit"],
        "BudgetLimit": {"Amount": recorded_budget["limitAmount"], "Unit": recorded_budget["limitUnit"]},
        "CostFilters": {item["name"]: item["values"] for item in recorded_budget["costFilters"]},
    }
    notifications = [
        {
            "Notification": {key: value for key, value in as_api(item).items() if key != "SubscriberEmailAddresses"},
            "Subscribers": [
                {"SubscriptionType": "EMAIL", "Address": address} for address in item["subscriberEmailAddresses"]
            ],
        }
        for item in recorded_budget["notifications"]
    ]
    budgets.create_budget(AccountId=ACCOUNT, Budget=budget, NotificationsWithSubscribers=notifications)
    created = budgets.describe_budget(AccountId=ACCOUNT, BudgetName=recorded_budget["name"])["Budget"]
    assert created["CostFilters"] == {"TagKeyValue": [f"user:churn:stack${stack}"]}
    answer = budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=recorded_budget["name"])
    assert [(item["NotificationType"], item["Threshold"]) for item in answer["Notifications"]] == [
        ("ACTUAL", 50), ("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100),
    ]  # fmt: skip
    with pytest.raises(ClientError, match="DuplicateRecordException"):
        budgets.create_budget(AccountId=ACCOUNT, Budget=budget, NotificationsWithSubscribers=notifications)


def firewall() -> dict[str, Any]:
    """Return the request that creates the firewall of the load balancer."""
    recording = record_with("prod", edge={"balancer": "alb", "waf": True})
    (item,) = [item for item in recording.resources if item.type == "aws:wafv2/webAcl:WebAcl"]
    request: dict[str, Any] = as_api(item.inputs)
    # Pulumi derives a name from that of the resource where none is set.
    return {"Name": item.name} | {key: value for key, value in request.items() if key not in {"Tags", "Region"}}


def test_aws_accepts_the_firewall_unchanged() -> None:
    waf = boto3.client("wafv2")
    request = firewall()
    summary = waf.create_web_acl(**request)["Summary"]
    created = waf.get_web_acl(Name=summary["Name"], Scope="REGIONAL", Id=summary["Id"])["WebACL"]
    assert created["Rules"] == request["Rules"]
    assert created["DefaultAction"] == request["DefaultAction"] == {"Allow": {}}
    assert created["VisibilityConfig"] == request["VisibilityConfig"]


def test_a_firewall_with_an_unknown_field_is_refused() -> None:
    """This shows what these tests can detect."""
    request = firewall()
    (request["Rules"][-1]["Statement"]["RateBasedStatement"])["PerMinutes"] = 5
    with pytest.raises(ParamValidationError, match="PerMinutes"):
        boto3.client("wafv2").create_web_acl(**request)
