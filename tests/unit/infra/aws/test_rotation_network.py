"""The function that rotates secrets runs in the VPC, from where it reaches what is not public."""

from __future__ import annotations

import pytest
from support.recorder import named, recorded


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_it_is_in_the_private_subnets_and_sends_only_https_within_the_vpc(stack: str) -> None:
    config = named(recorded(stack), "rotation-function").inputs["vpcConfig"]
    assert config["subnetIds"]
    assert all(subnet.startswith("network-private-") for subnet in config["subnetIds"])
    assert config["securityGroupIds"] == ["rotation-group-id"]
    rules = [item for item in recorded(stack).resources if item.inputs.get("securityGroupId") == "rotation-group-id"]
    assert [item.name for item in rules] == ["rotation-https"]
    assert (rules[0].inputs["fromPort"], rules[0].inputs["toPort"]) == (443, 443)


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_its_role_may_make_interfaces_before_it_is_created(stack: str) -> None:
    """Lambda checks that when it creates the function (terraform-provider-aws, internal/service/lambda/function.go)."""
    attachment = named(recorded(stack), "rotation-interfaces")
    assert attachment.inputs["policyArn"].endswith("/AWSLambdaVPCAccessExecutionRole")
    assert attachment.urn in named(recorded(stack), "rotation-function").depends_on
