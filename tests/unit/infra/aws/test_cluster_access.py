"""Who may enter the cluster: the workflows and the administrators by name, and nobody for having created it."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest
from support.eks_recordings import managed
from support.recorder import recorded

from infra.aws.cluster import access, without_creator
from ops.stack.ci_roles import roles
from ops.stack.recording import Recording

POLICIES = "arn:aws:eks::aws:cluster-access-policy"
ACCOUNT = "000000000000"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/churn-{name}"


def entries(recording: Recording) -> dict[str, tuple[str, str]]:
    (cluster,) = [item for item in recording.resources if item.type == "eks:index:Cluster"]
    return {
        name: (entry["principalArn"], only["policyArn"])
        for name, entry in cluster.inputs["accessEntries"].items()
        for only in entry["accessPolicies"].values()
    }


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_workflows_always_have_entries(stack: str) -> None:
    expected = {
        "deploy": (role(f"deploy-{stack}"), f"{POLICIES}/AmazonEKSClusterAdminPolicy"),
        "drift": (role(f"drift-{stack}"), f"{POLICIES}/AmazonEKSViewPolicy"),
    }
    if stack == "staging":  # pull requests see no other
        expected["preview"] = (role("preview"), f"{POLICIES}/AmazonEKSViewPolicy")
    assert entries(recorded(stack)) == expected
    # The bootstrap makes these roles, and EKS refuses an entry for one that does not exist.
    assert {arn for arn, _ in expected.values()} <= {role(each.name) for each in roles()}


def test_managed_nodes_change_nothing_about_that() -> None:
    assert entries(managed()) == entries(recorded("staging"))


def test_an_administrator_has_an_entry_and_a_role_never_has_two() -> None:
    """EKS refuses a second entry of a role."""
    deploy, person = role("deploy-prod"), f"arn:aws:iam::{ACCOUNT}:role/administrator"
    names = {name: entry.principal_arn for name, entry in access(ACCOUNT, "prod", [deploy, person]).items()}
    assert names == {"deploy": deploy, "drift": role("drift-prod"), "admin-1": person}


def transformed(type_: str, props: dict[str, Any]) -> pulumi.ResourceTransformResult | None:
    args = pulumi.ResourceTransformArgs(
        custom=True, type_=type_, name="any", props=props, opts=pulumi.ResourceOptions()
    )
    return without_creator(args)


def test_the_creator_gets_no_rights_by_having_created_it() -> None:
    async def access_config() -> Any:
        asked = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True}
        result = transformed("aws:eks/cluster:Cluster", {"name": "churn", "accessConfig": asked})
        assert result is not None
        assert result.props["name"] == "churn"
        return await pulumi.Output.from_input(result.props["accessConfig"]).future()

    config = asyncio.run(access_config())
    assert config == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}


def test_other_resources_of_the_component_stay_as_they_are() -> None:
    assert transformed("aws:eks/addon:Addon", {"addonName": "coredns"}) is None
