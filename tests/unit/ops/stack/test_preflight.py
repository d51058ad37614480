"""`churn aws preflight`: each fault is one line with the value and the remedy.

moto answers where it knows a call. Elsewhere botocore's Stubber gives recorded answers, whose form it compares with the
service's description, as that of each request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.asked import REGION, asked, one
from typer.testing import CliRunner

from ops.cli import main as cli
from ops.errors import ExitCode, OpsError
from ops.stack import preflight, preflight_account
from ops.stack.checkout import ROOT
from ops.stack.doctor_checks import Finding, Level

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR


def test_placeholders_are_named_with_their_keys() -> None:
    findings = list(preflight_account.values(asked()))
    assert {finding.level for finding in findings} == {ERROR}
    texts = "\n".join(finding.text for finding in findings)
    for left in ("churn:eks.public_cidrs is '203.0.113.0/24'", "churn:ingress.domain is 'staging.churn.example.com'"):
        assert left in texts
    assert all("Pulumi.staging.yaml" in finding.remedy for finding in findings)


@pytest.mark.parametrize(
    ("expected", "level", "text"),
    [("", WARNING, "account_id is empty"), ("123456789012", OK, "arn:aws"), ("210987654321", ERROR, "210987654321")],
)
@pytest.mark.usefixtures("session")
def test_the_account(expected: str, level: Level, text: str) -> None:
    finding = one(preflight_account.account(asked(account={"account_id": expected})))
    assert finding.level == level
    assert text in finding.text


@pytest.mark.parametrize(("zones", "level"), [(["eu-central-1a", "eu-central-1b"], OK), (["eu-central-1z"], ERROR)])
@pytest.mark.usefixtures("session")
def test_the_zones(zones: list[str], level: Level) -> None:
    finding = one(preflight_account.zones(asked(network={"zones": zones})))
    assert finding.level == level
    assert level == OK or "eu-central-1z" in finding.text


def quota(value: float) -> tuple[str, Any]:
    return "get_service_quota", {"Quota": {"Value": value}}


@pytest.mark.usefixtures("session")
def test_enough_of_everything() -> None:
    answers = {"service-quotas": [quota(value) for value in (32, 16, 5, 5)]}
    assert [finding.level for finding in preflight_account.quotas(asked(answers))] == [OK] * 4


@pytest.mark.parametrize(
    ("which", "code", "remedy"),
    [(0, "L-1216C47A", "cpu_limit"), (1, "L-34B43A08", "spot"), (2, "L-0263D0A3", "nat"), (3, "L-F678F1CE", "delete")],
)
@pytest.mark.usefixtures("session")
def test_each_quota_is_named_with_the_command_that_asks_for_more(which: int, code: str, remedy: str) -> None:
    limits = [32.0, 16.0, 5.0, 5.0]
    limits[which] = 0
    findings = list(preflight_account.quotas(asked({"service-quotas": [quota(value) for value in limits]})))
    assert [finding.level for finding in findings] == [ERROR if number == which else OK for number in range(4)]
    assert f"--quota-code {code}" in findings[which].remedy
    assert remedy in findings[which].remedy


@pytest.mark.usefixtures("session")
def test_gateways_and_addresses_that_are_taken_count() -> None:
    ec2 = boto3.client("ec2", region_name=REGION)
    for _ in range(3):
        ec2.allocate_address(Domain="vpc")
    answers = {"service-quotas": [quota(value) for value in (32, 16, 5, 5)]}
    per_zone = asked(answers, network={"nat": "per-zone", "zone_count": 3})
    findings = list(preflight_account.quotas(per_zone))
    assert findings[2].level == ERROR
    assert "5 are allowed, and up to 6 are needed" in findings[2].text


@pytest.mark.usefixtures("session")
def test_managed_nodes_count_by_their_type() -> None:
    answers = {"service-quotas": [quota(value) for value in (7, 8, 5, 5)]}
    findings = list(preflight_account.quotas(asked(answers, eks={"nodes": "managed"})))
    assert [finding.level for finding in findings] == [ERROR, OK, OK, OK]
    assert "up to 8 are needed" in findings[0].text, "4 nodes of m7i.large with 2 processors"


@pytest.mark.parametrize(("count", "level"), [(10, WARNING), (1000, OK)])
def test_a_new_account_has_few_functions(count: int, level: Level) -> None:
    limits = {"ConcurrentExecutions": count, "UnreservedConcurrentExecutions": count}
    finding = one(preflight_account.functions(asked({"lambda": [("get_account_settings", {"AccountLimit": limits})]})))
    assert finding.level == level
    assert str(count) in finding.text


@pytest.mark.usefixtures("session")
def test_without_the_bootstrap_no_role_can_be_created() -> None:
    finding = one(preflight_account.bootstrap(asked()))
    assert (finding.level, "ops.stack.bootstrap" in finding.remedy) == (ERROR, True)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam = boto3.client("iam")
    iam.create_policy(PolicyName="churn-boundary-staging", PolicyDocument=json.dumps(everything))
    assert one(preflight_account.bootstrap(asked())).level == OK


@pytest.mark.parametrize(
    ("zone", "domain", "public", "level", "text"),
    [
        ("acme.io", "churn.acme.io", "own", OK, "acme.io is delegated"),
        ("acme.io", "acme.io", "own", OK, "acme.io is delegated"),
        ("acme.io", "churn.acme.io", "other", ERROR, "ns.elsewhere.net"),
        ("acme.io", "churn.acme.io", "none", ERROR, "nobody"),
        ("acme.io", "churn.notacme.io", "own", ERROR, "make them agree"),
    ],
)
@pytest.mark.usefixtures("session")
def test_the_delegation(
    monkeypatch: pytest.MonkeyPatch, zone: str, domain: str, public: str, level: Level, text: str
) -> None:
    created = boto3.client("route53").create_hosted_zone(Name=zone, CallerReference="a")
    own = set(created["DelegationSet"]["NameServers"])
    known = {"own": own, "other": {"ns.elsewhere.net"}, "none": set()}
    monkeypatch.setattr(preflight_account, "name_servers", lambda _: known[public])
    zone_id = created["HostedZone"]["Id"].rpartition("/")[2]
    changed = asked(edge={"hosted_zone_id": zone_id}, ingress={"domain": domain})
    finding = one(preflight_account.delegation(changed))
    assert finding.level == level
    assert text in f"{finding.text}; {finding.remedy}"


def test_a_zone_that_the_stack_creates_must_be_delegated_meanwhile() -> None:
    finding = one(preflight_account.delegation(asked()))
    assert (finding.level, "name_servers" in finding.remedy) == (WARNING, True)


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ({"accessEntries": ["arn:aws:iam::123456789012:role/churn-deploy-staging"]}, OK),
        ({"accessEntries": ["arn:aws:iam::123456789012:role/me"]}, ERROR),
        ("ResourceNotFoundException", OK),
    ],
)
def test_the_deployments_role_can_enter_the_cluster(answer: Any, level: Level) -> None:
    finding = one(preflight_account.access(asked({"eks": [("list_access_entries", answer)]})))
    assert finding.level == level


# ------------------------------------------------------------------ the whole


def refusing(code: str) -> Callable[[str], Any]:
    class Refusing:
        def __getattr__(self, name: str) -> Any:
            def call(*_: Any, **__: Any) -> Any:
                raise ClientError({"Error": {"Code": code, "Message": ""}}, name)

            return call

    return lambda _: Refusing()


def test_what_may_not_be_read_is_a_warning_for_each_check() -> None:
    findings = [f for f in preflight.ask("staging", ROOT, refusing("AccessDenied")) if f.check != "values"]
    unasked = {"delegation"}  # the stack creates the zone itself
    names = {check.__name__.replace("_", " ") for check in preflight.CHECKS} - {"values"} - unasked
    assert {finding.check for finding in findings if "was refused: AccessDenied" in finding.text} == names
    assert {finding.level for finding in findings} == {WARNING}


def test_an_expired_login_ends_it() -> None:
    with pytest.raises(OpsError, match=r"refuses the credentials \(ExpiredToken\): log in again"):
        list(preflight.ask("staging", ROOT, refusing("ExpiredToken")))


def test_a_local_stack_has_no_account() -> None:
    with pytest.raises(OpsError, match="dev is not on AWS: choose a stack"):
        list(preflight.ask("dev", ROOT))


@pytest.mark.parametrize(
    ("level", "code"), [(OK, ExitCode.DONE), (WARNING, ExitCode.DONE), (ERROR, ExitCode.BAD_INPUT)]
)
def test_the_commands_exit_code(monkeypatch: pytest.MonkeyPatch, level: Level, code: ExitCode) -> None:
    finding = Finding(check="zones", level=level, text="two", remedy="choose")
    monkeypatch.setattr(preflight, "ask", lambda *_: iter([finding]))
    done = CliRunner().invoke(cli.app, ["aws", "preflight", "--stack", "staging"])
    assert done.exit_code == code, done.output
    assert "zones: two; choose" in done.output
