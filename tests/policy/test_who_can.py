"""Who can do what, by a simulator of IAM over the documents: the tables of `docs/security.md`, and what nobody may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import who_can
from support.eks_recordings import RECORDINGS
from support.iam import Identity, Request, allowed, condition_holds, may_assume
from support.paths import ROOT
from support.recorder import recorded
from support.who_can import PLACE, Workloads
from support.workload_roles import ACCOUNT

from infra.aws.boundary import LONGEST_PREFIX, ROLE
from infra.naming import boundary_name
from ops.stack import ci_roles

STACKS = ("staging", "prod")
LIMIT = 6144
"""Characters of a managed policy, white space not counted (IAM User Guide, "IAM and AWS STS quotas")."""
ROLES = {role.name: role for role in ci_roles.roles()}


def page() -> str:
    return (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [who_can.jobs_table, who_can.roles_table], ids=lambda make: make.__name__)
def test_the_page_has_the_simulators_answers_about_workflows(make: Any) -> None:
    table = make()
    assert table in page(), f"put this table into docs/security.md:\n{table}"


def test_the_page_has_the_simulators_answers_about_workloads() -> None:
    table = Workloads(recording=recorded("prod")).table()
    assert table in page(), f"put this table into docs/security.md:\n{table}"


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_page_is_right_about_every_stack_on_aws(name: str) -> None:
    """A workload has the same rights in each, whatever its switches are; some workloads are prod's alone."""
    header, rule, *rows = Workloads(recording=RECORDINGS[name]()).table().splitlines()
    assert len(rows) > 12
    assert [row for row in (header, rule, *rows) if row not in page()] == []


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("request_", who_can.ESCAPES, ids=lambda r: f"{r.action} {r.resource.rpartition('/')[2]}")
def test_no_role_of_a_workflow_has_a_way_to_more_rights(name: str, request_: Request) -> None:
    assert not allowed(who_can.identity(ROLES[name]), request_)


@pytest.mark.parametrize("request_", who_can.ESCAPES, ids=lambda r: f"{r.action} {r.resource.rpartition('/')[2]}")
def test_without_the_boundary_a_deployment_has_every_one_of_them(request_: Request) -> None:
    """The questions can be answered with yes: by an administrator without a boundary, as deployments were."""
    bounded = who_can.identity(ROLES["deploy-staging"])
    assert allowed(Identity(arn=bounded.arn, statements=bounded.statements), request_)


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:GetObjectVersion"])
def test_no_stacks_role_reaches_the_other_stacks_objects(action: str) -> None:
    for stack, other in (STACKS, STACKS[::-1]):
        for name in (f"deploy-{stack}", f"drift-{stack}"):
            role = who_can.identity(ROLES[name])
            paths = [path.replace("*", "x") for path in (*ci_roles.state(other), ci_roles.locks(other))]
            objects = [*PLACE.objects(paths), f"arn:aws:s3:::churn-{other}-data-{ACCOUNT}/customers.parquet"]
            for resource in objects:
                assert not allowed(role, Request(action=action, resource=resource)), resource


def test_a_new_role_is_bounded_like_its_maker() -> None:
    """What a deployment makes gets the boundary, so it cannot do more than the deployment either."""
    limits = ci_roles.boundary("staging", PLACE)["Statement"]
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    new = Identity(arn=PLACE.role("churn-staging-new"), statements=everything, boundary=limits)
    assert not [request.action for request in who_can.ESCAPES if allowed(new, request)]


@pytest.mark.parametrize("stack", STACKS)
def test_a_boundary_is_a_valid_managed_policy(stack: str) -> None:
    document = ci_roles.boundary(stack, PLACE)
    assert len("".join(json.dumps(document).split())) <= LIMIT
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)


@pytest.mark.parametrize("stack", STACKS)
def test_every_role_of_a_stack_has_the_boundary_and_the_stacks_name(stack: str) -> None:
    roles = [item for item in recorded(stack).resources if item.type == ROLE]
    assert len(roles) > 10
    for item in roles:
        assert item.inputs["permissionsBoundary"] == f"arn:aws:iam::{ACCOUNT}:policy/{boundary_name(stack)}", item.name
        assert item.inputs["namePrefix"].startswith(f"churn-{stack}-"), item.name
        assert len(item.inputs["namePrefix"]) <= LONGEST_PREFIX, item.name


@pytest.mark.parametrize("stack", STACKS)
def test_a_workload_is_not_hindered_by_the_boundary(stack: str) -> None:
    """Whatever a workload's policy allows, its boundary does not take away."""
    limits = ci_roles.boundary(stack, PLACE)["Statement"]
    for name, role in Workloads(recording=recorded(stack)).identities.items():
        for statement in role.statements:
            for action in statement["Action"]:
                for resource in statement["Resource"]:
                    request = Request(action=action, resource=resource.replace("*", "x"))
                    bounded = Identity(arn=role.arn, statements=[{**statement, "Condition": {}}], boundary=limits)
                    policy = who_can.KEY_POLICY if action.startswith("kms:") else ()
                    assert allowed(bounded, request, policy), (name, action, resource)


def test_a_token_for_another_audience_is_refused() -> None:
    subject = who_can.JOBS["the environment prod"]
    assert who_can.takes(ROLES["deploy-prod"], subject)
    assert not who_can.takes(ROLES["deploy-prod"], subject, audience="somebody-else")


# ------------------------------------------------------------------ the simulator itself


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"a": "x"}}, {"a": "x"}, True),
        ({"StringEquals": {"a": "x"}}, {}, False),
        ({"StringEquals": {"A": ["x", "y"]}}, {"a": "y"}, True),
        ({"StringNotEquals": {"a": "x"}}, {}, True),
        ({"StringNotEquals": {"a": ["x", "y"]}}, {"a": "y"}, False),
        ({"StringEqualsIfExists": {"a": "x"}}, {}, True),
        ({"StringLike": {"a": "x*z"}}, {"a": "xyz"}, True),
        ({"StringLike": {"a": "[x]"}}, {"a": "x"}, False),
        ({"Bool": {"a": "false"}}, {"a": False}, True),
        ({"Null": {"a": "true"}}, {}, True),
        ({"Null": {"a": "true"}}, {"a": "x"}, False),
        ({"NumericLessThanEquals": {"a": "38"}}, {"a": 38}, True),
        ({"NumericLessThanEquals": {"a": "38"}}, {"a": 39}, False),
        ({"ForAllValues:StringEquals": {"a": "x"}}, {"a": ["x", "y"]}, False),
        ({"ForAllValues:StringEquals": {"a": "x"}}, {}, True),
        ({"ForAnyValue:StringEquals": {"a": "x"}}, {"a": ["x", "y"]}, True),
        ({"StringEquals": {"a": "${b}"}}, {"a": "x", "b": "x"}, True),
        ({"StringEquals": {"a": "${b}"}}, {"a": "x"}, False),
        ({"StringEquals": {"a": "x"}, "Bool": {"b": "true"}}, {"a": "x", "b": "false"}, False),
    ],
)
def test_conditions_hold_as_in_iam(condition: dict[str, Any], context: dict[str, Any], *, holds: bool) -> None:
    assert condition_holds(condition, context) is holds


def test_what_the_simulator_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError):
        condition_holds({"DateLessThan": {"a": "x"}}, {"a": "x"})
    with pytest.raises(ValueError, match="unknown parts"):
        allowed(Identity(arn=PLACE.role("x"), statements=[{"Effect": "Allow", "Actions": "*"}]), Request(action="a:B"))


def test_a_deny_wins_and_a_boundary_grants_nothing() -> None:
    yes, no = (
        {"Effect": "Allow", "Action": "a:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "a:B", "Resource": "*"},
    )
    request, arn = Request(action="a:b", resource="r"), PLACE.role("x")
    assert allowed(Identity(arn=arn, statements=[yes]), request)
    assert not allowed(Identity(arn=arn, statements=[yes, no]), request)
    assert not allowed(Identity(arn=arn, statements=[], boundary=[yes]), request)
    assert not allowed(Identity(arn=arn, statements=[yes], boundary=[]), request)
    assert not allowed(Identity(arn=arn, statements=[yes]), request, [no | {"Principal": "*"}])
    by_resource = [yes | {"Principal": {"AWS": arn}}]
    assert allowed(Identity(arn=arn, statements=[]), request, by_resource)
    by_root = [yes | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]
    assert not allowed(Identity(arn=arn, statements=[]), request, by_root)


def test_a_key_opens_only_with_its_own_policy() -> None:
    role = Identity(arn=PLACE.role("x"), statements=[{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}])
    request = Request(action="kms:Decrypt", resource=f"{who_can.KEY}/a")
    assert not allowed(role, request)
    assert allowed(role, request, who_can.KEY_POLICY)


def test_a_trust_policy_lets_in_only_whom_it_names() -> None:
    policy = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["a.amazonaws.com"]}}]
    assert may_assume(policy, service="a.amazonaws.com", context={})
    assert not may_assume(policy, service="b.amazonaws.com", context={})
    assert not may_assume(policy, federated=who_can.PROVIDER, context={})
