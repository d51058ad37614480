"""What watches the account, and what may pass the endpoints of its network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.aws_rules import of
from support.iam import Request, verdicts
from support.recorder import named, recorded

from infra.aws.endpoints import GATEWAYS, INTERFACES

ACCOUNT, OTHER = "000000000000", "999999999999"


def inputs(stack: str, name: str) -> dict[str, Any]:
    return named(recorded(stack), name).inputs


def test_one_stack_of_the_account_sets_it_up() -> None:
    kinds = ("Trail", "Detector", "Recorder", "RecorderStatus", "DeliveryChannel")
    by_stack = {
        stack: sorted(item.type.rpartition(":")[2] for item in of(recorded(stack), *kinds))
        for stack in ("dev", "staging", "prod")
    }
    assert by_stack == {"dev": [], "staging": sorted(kinds), "prod": []}


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:s3:::churn-pulumi-state-{ACCOUNT}/.pulumi/stacks/churn/prod.json",
        f"arn:aws:s3:::churn-staging-backups-{ACCOUNT}-eu-central-1/objects/aa/bb",
        f"arn:aws:s3:::churn-prod-backups-{ACCOUNT}-eu-central-1/postgres/a/manifest.json",
    ],
)
def test_every_access_to_state_and_backups_of_all_stacks_is_recorded(arn: str) -> None:
    trail = inputs("staging", "baseline-trail")
    _, data = trail["advancedEventSelectors"]
    (prefixes,) = [field["startsWiths"] for field in data["fieldSelectors"] if field["field"] == "resources.ARN"]
    assert any(arn.startswith(prefix) for prefix in prefixes)
    assert trail["isMultiRegionTrail"] is True
    assert trail["enableLogFileValidation"] is True


def test_guardduty_reads_the_audit_logs_of_eks() -> None:
    features = {item.inputs["name"]: item.inputs["status"] for item in of(recorded("staging"), "DetectorFeature")}
    assert features == {"EKS_AUDIT_LOGS": "ENABLED", "S3_DATA_EVENTS": "ENABLED"}


@pytest.mark.parametrize(("service", "folder"), [("cloudtrail", "trail/AWSLogs"), ("config", "config/AWSLogs")])
def test_only_this_accounts_trail_and_recorder_can_deliver(service: str, folder: str) -> None:
    statements = json.loads(inputs("staging", "storage-logs-policy")["policy"])["Statement"]
    own = [each for each in statements if each.get("Principal") == {"Service": [f"{service}.amazonaws.com"]}]
    where = f"arn:aws:s3:::churn-staging-logs-{ACCOUNT}-eu-central-1/{folder}/{ACCOUNT}/Config/a.json"
    source = {
        "aws:SourceArn": f"arn:aws:cloudtrail:eu-central-1:{ACCOUNT}:trail/churn-staging",
        "aws:SourceAccount": ACCOUNT,
        "s3:x-amz-acl": "bucket-owner-full-control",
    }
    foreign = {key: value.replace(ACCOUNT, OTHER) for key, value in source.items()}
    assert verdicts(own, Request(action="s3:PutObject", resource=where, context=source)) == {"Allow"}
    assert verdicts(own, Request(action="s3:PutObject", resource=where, context=foreign)) == set()


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_each_service_that_nodes_and_pods_ask_has_an_endpoint(stack: str) -> None:
    services = {item.inputs["serviceName"].partition("eu-central-1.")[2] for item in of(recorded(stack), "VpcEndpoint")}
    assert services == {*GATEWAYS.values(), *INTERFACES.values()}
    assert services >= {"s3", "kms", "ec2", "elasticloadbalancing", "sts", "secretsmanager"}


def passes(name: str, action: str, resource: str, **context: str) -> bool:
    policy = json.loads(inputs("prod", f"network-endpoints-{name}")["policy"])["Statement"]
    keys = {f"aws:{key}": value for key, value in context.items()}
    return "Allow" in verdicts(policy, Request(action=action, resource=resource, context=keys))


def test_own_data_passes_and_goes_into_no_other_accounts_bucket() -> None:
    own, foreign = f"arn:aws:s3:::churn-prod-data-{ACCOUNT}/a", "arn:aws:s3:::thief/a"
    assert passes("s3", "s3:PutObject", own, PrincipalAccount=ACCOUNT, ResourceAccount=ACCOUNT)
    assert not passes("s3", "s3:PutObject", foreign, PrincipalAccount=ACCOUNT, ResourceAccount=OTHER)
    assert not passes("s3", "s3:PutObject", foreign, PrincipalAccount=OTHER, ResourceAccount=OTHER)
    assert not passes("s3", "s3:PutObject", foreign, ResourceAccount=OTHER)


def test_layers_of_images_pass() -> None:
    layers = "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/a"
    assert passes("s3", "s3:GetObject", layers, ResourceAccount=OTHER)


def test_a_pod_can_take_a_role_of_the_account_alone() -> None:
    action = "sts:AssumeRoleWithWebIdentity"
    assert passes("sts", action, f"arn:aws:iam::{ACCOUNT}:role/churn-prod-identity")
    assert not passes("sts", action, f"arn:aws:iam::{OTHER}:role/thief")


@pytest.mark.parametrize("name", sorted(INTERFACES))
def test_an_interface_is_for_the_accounts_own_identities(name: str) -> None:
    assert passes(name, "any:Action", "arn:aws:any", PrincipalAccount=ACCOUNT)
    assert not passes(name, "any:Action", "arn:aws:any", PrincipalAccount=OTHER)
    assert not passes(name, "any:Action", "arn:aws:any")
