"""The AWS stacks under the real engine, with stand-in providers: previewed, created, changed, destroyed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pulumi import automation as auto
from support.aws_rules import STATEFUL
from support.engine.cloud import CloudProject
from support.engine.operations import Outcome
from support.recorder import settings

from infra.versions import OWN, PUBLIC, Images

pytestmark = [pytest.mark.service, pytest.mark.timeout(900, func_only=True)]

STACKS = ("staging", "prod")
REGISTRY = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/churn"
ENGINES_OWN = "pulumi:providers:pulumi"
"""The provider with which the engine passes a role to the component of `pulumi_eks`; previews do not have it."""
Edit = Callable[[dict[str, Any]], None]


def invented_digests(stack: str) -> dict[str, str]:
    images = Images(settings=settings(stack).images.model_copy(update={"registry": REGISTRY}), digests={})
    tagged = [images.tagged(name) for name in (*PUBLIC, *OWN)]
    return {image: f"sha256:{hashlib.sha256(image.encode()).hexdigest()}" for image in tagged}


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


def test_up_creates_what_the_preview_showed_and_a_second_up_nothing(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    project, preview, first_up = up
    assert preview.succeeded, preview.printed
    assert first_up.succeeded, first_up.printed
    own = {step.urn for step in first_up.changes if f"::{ENGINES_OWN}::" in step.urn}
    assert {step.urn for step in first_up.changes} - own == {step.urn for step in preview.changes}
    assert {step.operation for step in first_up.changes} == {"create"}
    again = project.run("up")
    assert again.succeeded, again.printed
    assert again.changes == []


def test_a_nat_gateway_for_each_zone_touches_only_the_ways_out(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    project, *_ = up
    other = "one" if settings(project.stack).network.nat == "per-zone" else "per-zone"
    changes = touched(project, lambda config: config["churn:network"].update(nat=other))
    kinds = {kind.rpartition(":")[2] for _, kind, _ in changes}
    assert kinds == {"Eip", "NatGateway", "Route"}
    assert all(name.startswith(("network-nat", "network-private")) for _, _, name in changes)


def test_a_larger_database_touches_the_instance_alone(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    project, *_ = up
    changes = touched(project, lambda config: config["churn:rds"].update(instance_class="db.m7g.xlarge"))
    assert changes == [("update", "aws:rds/instance:Instance", "database-instance")]


def test_no_change_of_these_replaces_or_deletes_what_holds_state(up: tuple[CloudProject, Outcome, Outcome]) -> None:
    """One preview with all changes at once shows whatever one of them alone would replace."""

    def edit(config: dict[str, Any]) -> None:
        config["churn:network"].update(nat="per-zone", log_days=90)
        config["churn:eks"].update(cpu_limit=99, spot_cpu_limit=9, public_cidrs=["198.51.100.0/24"], log_days=90)
        config["churn:rds"].update(instance_class="db.m7g.xlarge", multi_az=True, max_storage_gib=900, backup_days=20)
        config["churn:rds"].update(log_days=90)
        config["churn:secrets"].update(rotation_days=30, overlap_days=3, recovery_days=20)
        config["churn:edge"].update(waf_requests_per_5_minutes=99)
        config["churn:budget"].update(monthly_usd=1, pods_monthly_usd=1)
        config["churn:account"].update(owner="another", cost_center="another")
        config["churn:registry"].update(keep_commits=5)
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
    project.configure(lambda config: config["churn:state"].update(protect=False))
    off = project.run("up")
    assert off.succeeded, off.printed
    begun = len(project.journal.calls)
    gone = project.run("destroy")
    assert gone.succeeded, gone.printed
    order = [call.urn.split("::")[3] for call in project.journal.calls[begun:] if call.operation == "delete"]
    assert order.index("ingress-service") < order.index("network-vpc")
    assert order.index("api-deployment") < order.index("network-private-1-default")
    assert order.index("capacity-spot") < order.index("network-private-1-default")
    assert order.index("database-instance") < order.index("network-database-1")
    assert project.aws.resources == {}
