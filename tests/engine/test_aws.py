"""The AWS stacks under the real engine, with stand-in providers: previewed, created, changed, destroyed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from pulumi import automation as auto
from support.aws_api import account
from support.aws_rules import STATEFUL
from support.engine.aws import REGION
from support.engine.bring_up import AWS, Typist, commands
from support.engine.cloud import REGISTRY, CloudProject, invented_digests
from support.engine.operations import Outcome
from support.engine.secrets_manager import ResourceNotFoundException
from support.recorded_eks import RecordedEks
from support.recorder import settings

from infra.secret_files import ALL
from ops.stack import eks_versions, leftovers
from ops.stack.rds_state import INSTANCE, Run, adopt

pytestmark = [pytest.mark.service, pytest.mark.timeout(900, func_only=True)]

STACKS = [
    pytest.param(stack, marks=pytest.mark.long(seconds=150, together=f"{stack} on the engine"))
    for stack in ("staging", "prod")
]
ENGINES_OWN = "pulumi:providers:pulumi"
"""The provider with which the engine passes things to the component of `pulumi_eks`, sometimes in a preview only."""
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module", params=STACKS)
def up(
    request: pytest.FixtureRequest, command: auto.PulumiCommand, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CloudProject, Outcome, Outcome]]:
    """A stack after its preview and its first `up`."""
    stack: str = request.param
    with CloudProject(stack, command=command, folder=tmp_path_factory.mktemp(stack)).open() as project:
        project.lock(invented_digests(stack))
        project.cli("stack", "init")
        refused = project.run("preview")
        assert refused.errors[0].startswith("churn:images.registry is 'churn', which has no host")
        assert project.journal.calls == []
        project.configure(lambda config: config["churn:images"].update(registry=REGISTRY))
        preview = project.run("preview")
        yield project, preview, project.run("up")


def touched(project: CloudProject, edit: Edit) -> list[tuple[str, str, str]]:
    """What a preview of an edit shows (operation, type and name); the edit is undone."""
    before = project.settings.read_text()
    project.configure(edit)
    outcome = project.run("preview")
    project.settings.write_text(before)
    assert outcome.succeeded, outcome.printed
    changes = [(step.operation, step.urn.split("::")[2].rpartition("$")[2], step.name) for step in outcome.changes]
    return [change for change in changes if change[1] != ENGINES_OWN]


def test_up_creates_what_the_preview_showed(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    _, preview, first_up = up
    assert preview.succeeded, preview.printed
    assert first_up.succeeded, first_up.printed
    assert _urns(first_up) == _urns(preview)
    assert {step.operation for step in first_up.changes} == {"create"}


def _urns(outcome: Outcome) -> set[str]:
    return {step.urn for step in outcome.changes if f"::{ENGINES_OWN}::" not in step.urn}


def pulumi(project: CloudProject) -> Run:
    """How `churn rds switch` runs the engine's commands; the first two words are given again by the project."""

    def run(words: list[str], text: str) -> str:
        assert words[2:] == ["--stack", project.stack]
        if words[1] == "export":
            return project.cli(*words[:2])
        path = project.folder / "imported.json"
        path.write_text(text)
        return project.cli(*words[:2], "--file", str(path))

    return run


def test_a_second_up_changes_nothing_after_a_refresh_new_secrets_and_a_restored_database(
    up: tuple[CloudProject, Outcome, Outcome],
) -> None:
    """Secrets Manager forgets a version that two writes have replaced, which must not bring back its value.

    And RDS has given the restored database another id, so the state must not go on with the one that it replaced.
    """
    project, *_ = up
    name, restored = f"churn-{project.stack}", project.aws.restore_database()
    assert adopt(pulumi(project), project.stack, name, restored)
    assert not adopt(pulumi(project), project.stack, name, restored)
    secrets = project.aws.secrets
    arns = secrets.arns()
    assert len(arns) == len(ALL) - 1 + len(settings(project.stack).secrets.api_clients)  # RDS has its superuser's
    first = {arn: secrets.get_secret_value(SecretId=arn) for arn in arns}
    for content in ("second", "third"):
        for arn in arns:
            secrets.put_secret_value(SecretId=arn, SecretString=f'{{"key": "{content}"}}')
    with pytest.raises(ResourceNotFoundException):
        secrets.get_secret_value(SecretId=arns[0], VersionId=first[arns[0]]["VersionId"])
    project.cli("refresh", "--yes")
    (database,) = [item for item in project.state()["resources"] if item["type"] == INSTANCE]
    assert (database["id"], database["inputs"]["identifier"]) == (restored, name)
    again = project.run("up", diff=True)
    assert again.succeeded, again.printed
    assert again.changes == [], again.printed
    assert {secrets.get_secret_value(SecretId=arn)["SecretString"] for arn in arns} == {'{"key": "third"}'}
    for arn, version in first.items():
        secrets.put_secret_value(SecretId=arn, SecretString=version["SecretString"])


def test_a_nat_gateway_for_each_zone_touches_only_the_ways_out(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    project, *_ = up
    other = "one" if settings(project.stack).network.nat == "per-zone" else "per-zone"
    changes = touched(project, lambda config: config["churn:network"].update(nat=other))
    kinds = {kind.rpartition(":")[2] for _, kind, _ in changes}
    assert kinds == {"Eip", "MetricAlarm", "NatGateway", "Route"}
    ways_out = ("network-nat", "network-private", "watch-NatPortsExhausted")
    assert all(name.startswith(ways_out) for _, _, name in changes)


def test_a_larger_database_touches_the_instance_alone(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    project, *_ = up
    changes = touched(project, lambda config: config["churn:rds"].update(instance_class="db.m7g.xlarge"))
    assert changes == [("update", "aws:rds/instance:Instance", "database-instance")]


def test_no_change_of_these_replaces_or_deletes_what_holds_state(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    """One preview with all changes at once shows whatever one of them alone would replace."""

    def edit(config: dict[str, Any]) -> None:
        config["churn:network"].update(nat="per-zone", log_days=90)
        config["churn:eks"].update(cpu_limit=99, spot_cpu_limit=9, public_cidrs=["198.18.1.0/24"], log_days=90)
        config["churn:rds"].update(instance_class="db.m7g.xlarge", multi_az=True, max_storage_gib=900, backup_days=20)
        config["churn:rds"].update(log_days=90)
        config["churn:secrets"].update(rotation_days=30, overlap_days=3, recovery_days=20)
        config["churn:edge"].update(waf_requests_per_5_minutes=99)
        config["churn:budget"].update(monthly_usd=1, pods_monthly_usd=1)
        config["churn:account"].update(owner="another", cost_center="another")
        config["churn:ingress"].update(replicas=5)
        config["churn:api"].update(max_replicas=20)

    project, *_ = up
    changes = touched(project, edit)
    assert ("update", "aws:rds/instance:Instance", "database-instance") in changes
    stateful = {*STATEFUL, "eks:index:Cluster", "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"}
    claims = {"kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:apps/v1:StatefulSet"}
    harmless = {"update"}
    assert [change for change in changes if change[1] in stateful | claims and change[0] not in harmless] == []


def test_a_change_that_would_replace_the_database_is_seen_by_the_guard(
    up: tuple[CloudProject, Outcome, Outcome],
) -> None:
    """The guard above can fail: a network's range cannot change in place."""
    project, *_ = up
    before = project.settings.read_text()
    project.configure(lambda config: config["churn:network"].update(cidr="10.99.0.0/16"))
    outcome = project.run("preview")
    project.settings.write_text(before)
    replaced = {step.name for step in outcome.changes if step.operation in {"replace", "create-replacement"}}
    assert "network-vpc" in replaced


def test_destroy_needs_protection_off_and_goes_from_the_inside_out(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    project, *_ = up
    refused = project.run("destroy", preview_only=True)
    assert not refused.succeeded
    assert any("because it is protected" in error for error in refused.errors), refused.printed
    with account():
        typist = Typist(project, lambda words: look_for_leftovers(project, words))
        for line in (line for block in commands(AWS, "Teardown") for line in block):
            typist.type(line.replace("staging", project.stack))
    order = [call.urn.split("::")[3] for call in project.journal.calls if call.operation == "delete"]
    assert order.index("ingress-service") < order.index("network-vpc")
    assert order.index("api-deployment") < order.index("network-private-1-default")
    assert order.index("capacity-spot") < order.index("network-private-1-default")
    assert order.index("database-instance") < order.index("network-database-1")
    driver = order.index("compute-addons-aws-secrets-store-csi-driver-provider")
    assert max(order.index(pod) for pod in ("api-deployment", "mlflow-deployment", "grafana-deployment")) < driver
    assert project.aws.resources == {}
    if project.stack == "staging":
        comes_up_and_goes_again(project)


def look_for_leftovers(project: CloudProject, words: list[str]) -> None:
    """Run the document's programs on an account in which the log groups are those that came back."""
    logs = boto3.client("logs", region_name=REGION)
    for name in project.aws.revived - {item["logGroupName"] for item in logs.describe_log_groups()["logGroups"]}:
        logs.create_log_group(logGroupName=name)
    match words:
        case [".venv/bin/python", "-m", "ops.stack.leftovers", *options]:
            assert leftovers.main(options) == ("--delete" not in options)
        case ["aws", "resourcegroupstaggingapi", *_]:
            pass
        case _:
            pytest.fail(f"docs/aws.md has a command that this test does not know: {words}")
    project.aws.revived = {item["logGroupName"] for item in logs.describe_log_groups()["logGroups"]}


def comes_up_and_goes_again(project: CloudProject) -> None:
    """The same names serve a second life, since nothing of the first is in the way; it is upgraded on its way."""
    second_up = project.run("up")
    assert second_up.succeeded, second_up.printed
    upgrade(project)
    gone = project.run("destroy")
    assert gone.succeeded, gone.printed
    assert project.aws.resources == {}
    assert project.aws.revived  # so the commands above had something to find


def upgrade(project: CloudProject) -> None:
    """Follow the runbook of docs/aws.md: it touches the control plane and then the add-ons."""
    begun = len(project.journal.calls)

    def other(words: list[str]) -> None:
        match words:
            case [".venv/bin/python", "-m", "ops.stack.eks_versions", "--stack", stack, "--version", version, *_]:
                eks_versions.set_versions(RecordedEks(), stack, version, project.folder)
            case ["aws", "eks", "list-insights", *_] | [".venv/bin/churn", "cluster", "wait"]:
                pass
            case _:
                pytest.fail(f"docs/aws.md has a command that this test does not know: {words}")

    typist = Typist(project, other)
    for line in (line for block in commands(AWS, "Upgrading Kubernetes") for line in block):
        if not line.startswith("pulumi preview"):  # it changes nothing
            typist.type(line)
    calls = [(call.operation, call.urn.split("::")[3]) for call in project.journal.calls[begun:]]
    assert calls[0] == ("update", "compute-cluster-eks-eksCluster")
    names = (
        "compute-addons-aws-secrets-store-csi-driver-provider", "compute-addons-metrics-server", "pod-logs-addon",
    )  # fmt: skip
    assert set(calls[1:]) == {("update", name) for name in names}
