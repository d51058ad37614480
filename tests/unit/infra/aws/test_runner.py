"""The workflows' runner in the VPC: what it is made of, what it may do, and that it reaches the API server alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from support import aws_rules as rules
from support.balancers import CLUSTER, balancers, join
from support.packets import outside, vpc_of
from support.recorder import config, named, recorded

from infra.aws.account import stand_in
from infra.aws.runner import Runner, RunnerArgs
from infra.aws.scope import Scope
from infra.config import ConfigError, Settings
from infra.config_loader import parse
from ops.stack.recording import Recording, record

REPOSITORY = "somebody/churn"
CONNECTION = "arn:aws:codeconnections:eu-central-1:000000000000:connection/0123"


def settings_with(repository: str, connection: str) -> Settings:
    values = {key.removeprefix("churn:"): value for key, value in config("staging").items()}
    return parse("staging", {**values, "runner": {"repository": repository, "connection": connection}})


@cache
def runner() -> Recording:
    """The runner's own resources, in the network of staging."""
    settings = settings_with(REPOSITORY, CONNECTION)

    def program() -> None:
        args = RunnerArgs(
            scope=Scope(settings=settings, account=stand_in(settings)),
            vpc_id="network-vpc-id",
            subnets=["network-private-1-id", "network-private-2-id"],
            cluster_group=CLUSTER,
            log_key="key",
        )
        Runner("runner", args)

    return record("staging", program, config("staging"))


def inputs(name: str) -> dict[str, Any]:
    return named(runner(), name).inputs


def test_it_runs_in_the_private_subnets_and_starts_for_jobs_of_workflows() -> None:
    project = inputs("runner-project")
    assert project["name"] == "churn-staging-runner"  # the workflows ask for it by this name
    assert project["vpcConfig"]["subnets"] == ["network-private-1-id", "network-private-2-id"]
    assert project["source"]["location"] == f"https://github.com/{REPOSITORY}.git"
    assert not project["environment"].get("privilegedMode")
    assert inputs("runner-webhook")["filterGroups"] == [
        {"filters": [{"type": "EVENT", "pattern": "WORKFLOW_JOB_QUEUED"}]}
    ]


@pytest.mark.parametrize(
    "rule", [rules.no_wildcard_actions, rules.named_resources, rules.closed_groups, rules.kept_logs, rules.encrypted]
)
def test_it_keeps_the_rules_of_all_aws_resources(rule: Any) -> None:
    assert rule(runner()) == []


def test_its_rights_exist_before_the_project_that_is_checked_for_them() -> None:
    rights = {item.urn for item in runner().resources if item.name in {"runner-policy", "runner-describe"}}
    project = named(runner(), "runner-project")
    assert len(rights) == 2
    assert rights <= set(project.depends_on)


def test_it_reaches_the_api_server_and_github_but_no_pod_and_no_database() -> None:
    staging = recorded("staging")
    recording = replace(staging, resources=[*staging.resources, *runner().resources])
    vpc = vpc_of(recording)
    join(vpc, balancers(recording))
    private, database = vpc.tier("private"), vpc.tier("database")
    own = vpc.place("runner", private[0], "runner-group-id")
    for subnet in private:
        server = vpc.place("API server", subnet, CLUSTER, host=31)
        assert vpc.refusals(own, server, 443) == []
        assert vpc.refusals(own, server, 10250)
        assert vpc.refusals(server, own, 443)
    assert vpc.refusals(own, outside("192.0.2.80"), 443) == []
    assert vpc.refusals(own, outside("192.0.2.80"), 22)
    assert vpc.refusals(own, vpc.place("database", database[0], "database-group-id"), 5432)


@pytest.mark.parametrize(("repository", "connection"), [(REPOSITORY, ""), ("", CONNECTION)])
def test_half_a_runner_is_refused(repository: str, connection: str) -> None:
    with pytest.raises(ConfigError, match="repository and connection belong together"):
        settings_with(repository, connection)


@pytest.mark.parametrize("connection", ["arn:aws:iam::000000000000:role/x", "0123"])
def test_what_is_no_connection_is_refused(connection: str) -> None:
    with pytest.raises(ConfigError, match=r"churn:runner\.connection"):
        settings_with(REPOSITORY, connection)


def test_by_default_there_is_none() -> None:
    assert not [item.name for item in recorded("staging").resources if item.name.startswith("runner")]
