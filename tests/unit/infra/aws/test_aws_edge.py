"""The edge on AWS: an ALB with its firewall in front of NGINX, and the network whose header NGINX then trusts."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from support.recorder import find, named, record_with, settings

from infra.config import ConfigError
from infra.config_loader import parse
from ops.stack.recording import Recording


@cache
def with_alb() -> Recording:
    return record_with("prod", edge={"balancer": "alb", "waf": True})


def test_nginx_is_reached_through_the_alb_alone() -> None:
    recording = with_alb()
    service = find(recording, "Service", "ingress").inputs
    assert service["spec"]["type"] == "ClusterIP"
    alb = find(recording, "Ingress", "ingress-alb").inputs
    annotations = {key.partition("/")[2]: value for key, value in alb["metadata"]["annotations"].items()}
    assert annotations["backend-protocol"] == "HTTPS"
    assert annotations["target-type"] == "ip"
    assert annotations["wafv2-acl-arn"].startswith("arn:aws:wafv2:")
    config = named(recording, "ingress-config")
    trusted = {key: value for key, value in config.inputs["data"].items() if "real-ip" in key}
    assert trusted == {
        "set-real-ip-from": settings("prod").network.cidr,
        "real-ip-header": "X-Forwarded-For",
        "real-ip-recursive": "true",
    }


def test_clients_inside_have_an_alb_of_their_own_without_the_firewall() -> None:
    recording = with_alb()
    assert find(recording, "IngressClassParams", "churn-alb").inputs["spec"]["scheme"] == "internet-facing"
    assert find(recording, "IngressClassParams", "churn-alb-internal").inputs["spec"]["scheme"] == "internal"
    alb = find(recording, "Ingress", "ingress-alb-internal").inputs
    assert alb["spec"]["ingressClassName"] == "churn-alb-internal"
    annotations = {key.partition("/")[2]: value for key, value in alb["metadata"]["annotations"].items()}
    assert annotations["inbound-cidrs"] == settings("prod").network.cidr
    assert "wafv2-acl-arn" not in annotations


def test_the_firewall_has_managed_groups_and_a_rate() -> None:
    (acl,) = [item for item in with_alb().resources if item.type == "aws:wafv2/webAcl:WebAcl"]
    rules: list[dict[str, Any]] = acl.inputs["rules"]
    assert [rule["priority"] for rule in rules] == [1, 2, 3, 4, 5]
    assert all(rule["statement"]["managedRuleGroupStatement"]["vendorName"] == "AWS" for rule in rules[:4])
    assert rules[4]["statement"]["rateBasedStatement"]["limit"] == settings("prod").edge.waf_requests_per_5_minutes
    assert "block" in rules[4]["action"]


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("edge", {"waf": True}, "waf is on but balancer is 'nlb'"),
        ("eks", {"public_cidrs": ["0.0.0.0/0"]}, "lets everybody try"),
        ("network", {"zone_count": 3}, "zones names 2 but zone_count is 3"),
        ("network", {"log_days": 8}, "CloudWatch keeps logs for one of"),
        ("secrets", {"overlap_days": 90}, "an old key must end before the next one comes"),
        ("edge", {"internal_cidrs": ["198.18.0.0/24", "8.8.8.0/24"]}, "8.8.8.0/24 is not private"),
        ("rds", {"max_storage_gib": 20, "storage_gib": 30}, "max_storage_gib 20 is below storage_gib 30"),
        ("account", {"account_id": "12"}, "churn:account.account_id is '12'"),
        ("budget", {"emails": ["nobody"]}, "write an e-mail address"),
    ],
)
def test_an_impossible_setting_for_aws_is_refused_with_one_line(
    section: str, change: dict[str, Any], message: str
) -> None:
    values = settings("staging").model_dump()
    values.pop("stack")
    values[section] = {**values[section], **change}
    with pytest.raises(ConfigError) as caught:
        parse("staging", values)
    _, *lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert message in lines[0]
