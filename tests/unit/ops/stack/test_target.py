"""`churn cluster` acts on the cluster that `dev` is in and on no other, whatever kubectl's context has become."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from support.desk import Desk
from support.shims.pulumi import BACKEND

from infra.versions import OWN
from ops.errors import OpsError
from ops.stack.cluster import pulumi_environment
from ops.stack.stack_file import set_values

PROD = "arn:aws:eks:eu-central-1:000000000000:cluster/prod"
ADDRESS = "https://ABCD.gr7.eu-central-1.eks.amazonaws.com"
LIVE = "what customers use"


def new_kind_cluster(desk: Desk, name: str = "churn") -> None:
    """A kind cluster that has the images already."""
    created = desk.run("kind", "create", "cluster", "--name", name)
    assert created.returncode == 0, created.stderr
    load_images(desk, name)


def load_images(desk: Desk, name: str) -> None:
    """Let a cluster have the images that the stack's configuration names."""
    images = desk.settings("churn:images")
    desk.change_cluster(name, images=[f"{images['registry']}/{image}:{images['tag']}" for image in OWN])


@pytest.fixture
def deployed(desk: Desk) -> Desk:
    """A desk whose stack is in a kind cluster, and whose kubectl then looks at prod."""
    new_kind_cluster(desk)
    desk.churn("cluster", "up", "--no-build")
    desk.add_cluster("prod", ADDRESS, PROD, objects=LIVE)
    return desk


def test_the_chosen_context_is_recorded_in_the_stacks_configuration(deployed: Desk) -> None:
    assert deployed.settings("churn:cluster") == {"kind": "local", "context": "kind-churn"}


@pytest.mark.parametrize("command", ["up", "down"])
def test_it_refuses_when_kubectl_looks_elsewhere(deployed: Desk, command: str) -> None:
    words = ["--no-build"] if command == "up" else []
    with pytest.raises(
        OpsError, match=r"in the cluster of context 'kind-churn', but kubectl's context is 'arn:.*prod'"
    ):
        deployed.churn("cluster", command, *words)
    assert len(deployed.called("pulumi up", "pulumi destroy")) == 1
    assert deployed.clusters()["prod"]["objects"] == LIVE


@pytest.mark.parametrize("command", ["up", "down"])
def test_it_refuses_another_context_than_that_of_the_stack(deployed: Desk, command: str) -> None:
    with pytest.raises(OpsError, match="is in the cluster of context 'kind-churn', not 'arn:"):
        deployed.churn("cluster", command, "--context", PROD)
    assert deployed.clusters()["prod"]["objects"] == LIVE


def test_its_own_context_by_name_is_used_wherever_kubectl_looks(deployed: Desk) -> None:
    deployed.churn("cluster", "up", "--no-build", "--context", "kind-churn")
    deployed.churn("cluster", "down", "--context", "kind-churn")
    assert (deployed.clusters()["churn"]["objects"], deployed.clusters()["prod"]["objects"]) == ({}, LIVE)
    assert deployed.current_context == PROD


def test_a_configuration_that_was_put_back_does_not_lose_the_cluster(deployed: Desk) -> None:
    """`git checkout Pulumi.dev.yaml` does that; the state is where it was."""
    set_values(deployed.root / "Pulumi.dev.yaml", {("churn:cluster", "context"): ""})
    with pytest.raises(OpsError, match="but kubectl's context is"):
        deployed.churn("cluster", "down")
    set_values(deployed.root / "Pulumi.dev.yaml", {("churn:cluster", "context"): PROD})
    with pytest.raises(OpsError, match=r"but Pulumi\.dev\.yaml now names 'arn:"):
        deployed.churn("cluster", "down", "--context", PROD)
    assert deployed.clusters()["prod"]["objects"] == LIVE


def test_a_configuration_of_another_cluster_can_be_forgotten_once_the_old_one_is_gone(deployed: Desk) -> None:
    set_values(deployed.root / "Pulumi.dev.yaml", {("churn:cluster", "context"): PROD})
    with pytest.raises(OpsError, match="'kind-churn' is there, with everything of dev"):
        deployed.churn("cluster", "down", "--forget")
    deployed.run("kind", "delete", "cluster", "--name", "churn")
    deployed.churn("cluster", "down", "--forget")
    assert (deployed.settings("churn:cluster")["context"], deployed.clusters()["prod"]["objects"]) == ("", LIVE)


def test_a_cluster_that_is_not_local_is_used_only_by_its_name_each_time(desk: Desk) -> None:
    desk.add_cluster("shared", "https://203.0.113.7:6443", "team")
    load_images(desk, "shared")
    refusal = (
        r"context 'team' \(https://203\.0\.113\.7:6443\) is not known .*: if you mean it, name it with --context team"
    )
    with pytest.raises(OpsError, match=refusal):
        desk.churn("cluster", "up", "--no-build")
    desk.churn("cluster", "up", "--no-build", "--context", "team")
    for command in (["up", "--no-build"], ["down"]):
        with pytest.raises(OpsError, match=refusal):
            desk.churn("cluster", *command)
    assert desk.clusters()["shared"]["objects"] == "0.1.0"
    desk.churn("cluster", "down", "--context", "team")
    assert desk.clusters()["shared"]["objects"] == {}


def test_down_without_a_record_takes_only_the_current_context_by_its_name(desk: Desk) -> None:
    """The state of an older version follows kubectl's context."""
    desk.add_cluster("prod", ADDRESS, PROD, objects=LIVE)
    new_kind_cluster(desk)
    for words in ([], ["--context", PROD]):
        with pytest.raises(OpsError, match="names no cluster"):
            desk.churn("cluster", "down", *words)
    assert desk.called("pulumi") == []
    environment = pulumi_environment(desk.home)
    with pytest.MonkeyPatch.context() as patch:
        for name in (BACKEND, "PULUMI_CONFIG_PASSPHRASE_FILE"):
            patch.setenv(name, environment[name])
        assert desk.run("pulumi", "stack", "select", "--create", "dev").returncode == 0
    desk.churn("cluster", "down", "--context", "kind-churn")
    assert desk.called("pulumi destroy") != []


def test_a_kind_cluster_by_name_is_created_wherever_kubectl_looks(desk: Desk) -> None:
    desk.add_cluster("prod", ADDRESS, PROD, objects=LIVE)
    with pytest.raises(OpsError, match="for a kind cluster use --context kind-churn"):
        desk.churn("cluster", "up", "--no-build")
    with pytest.raises(OpsError, match="pulumi up failed"):  # the new cluster has no images
        desk.churn("cluster", "up", "--no-build", "--context", "kind-churn")
    assert desk.record()["created"] == desk.clusters()["churn"]["uid"]


def recreate(desk: Desk) -> None:
    assert desk.run("kind", "delete", "cluster", "--name", "churn").returncode == 0
    new_kind_cluster(desk)


def test_a_new_cluster_of_the_old_name_is_noticed_and_filled(desk: Desk) -> None:
    new_kind_cluster(desk)
    desk.churn("cluster", "up", "--no-build")
    recreate(desk)
    printed = desk.churn("cluster", "up", "--no-build")
    assert "This is another cluster than the one that dev was in" in printed
    assert desk.clusters()["churn"]["objects"] == "0.1.0"
    assert "another cluster" not in desk.churn("cluster", "up", "--no-build")


def test_a_refresh_that_failed_is_tried_again(desk: Desk) -> None:
    new_kind_cluster(desk)
    desk.churn("cluster", "up", "--no-build")
    recreate(desk)
    with desk.failing("pulumi", "refresh"), pytest.raises(OpsError, match="pulumi refresh failed"):
        desk.churn("cluster", "up", "--no-build")
    desk.churn("cluster", "up", "--no-build")
    assert desk.clusters()["churn"]["objects"] == "0.1.0"


def test_the_state_of_a_kind_cluster_that_is_gone_is_removed_by_down(desk: Desk) -> None:
    new_kind_cluster(desk)
    desk.churn("cluster", "up", "--no-build")
    desk.run("kind", "delete", "cluster", "--name", "churn")
    assert "is gone, and with it everything of dev" in desk.churn("cluster", "down")
    assert desk.called("pulumi destroy") == []
    assert desk.settings("churn:cluster")["context"] == ""
    new_kind_cluster(desk)
    assert "another cluster" not in desk.churn("cluster", "up", "--no-build")


def stop(desk: Desk) -> None:
    desk.change_cluster("team", running=False)


def replace(desk: Desk) -> None:
    desk.change_cluster("team", uid="another", objects=LIVE)


@pytest.mark.parametrize("change", [stop, replace])
def test_a_cluster_that_does_not_answer_or_is_another_one_is_one_line(
    desk: Desk, change: Callable[[Desk], None]
) -> None:
    desk.add_cluster("team", "https://kubernetes.docker.internal:6443", "docker-desktop")
    load_images(desk, "team")
    desk.churn("cluster", "up", "--no-build")
    with pytest.raises(OpsError, match="is there, with everything of dev"):
        desk.churn("cluster", "down", "--forget")
    change(desk)
    with pytest.raises(
        OpsError, match=r"does not answer, or is another one now: .* `churn cluster down --forget`"
    ) as caught:
        desk.churn("cluster", "down")
    assert "\n" not in str(caught.value)
    desk.churn("cluster", "down", "--forget")
    assert desk.called("pulumi destroy") == []
    assert desk.clusters()["team"]["objects"] in ("0.1.0", LIVE)
    assert json.loads((desk.home.root / "cluster.json").read_text()) == {"context": "", "uid": "", "created": ""}


def test_up_says_what_to_do_about_a_cluster_that_does_not_answer(desk: Desk) -> None:
    desk.add_cluster("team", "https://kubernetes.docker.internal:6443", "docker-desktop")
    load_images(desk, "team")
    desk.churn("cluster", "up", "--no-build")
    stop(desk)
    with pytest.raises(
        OpsError, match="'docker-desktop' does not answer: start it, or name another; if it is gone, `churn"
    ):
        desk.churn("cluster", "up", "--no-build")
    assert desk.called("kind create") == []


def test_a_damaged_record_is_named(desk: Desk) -> None:
    desk.home.root.mkdir()
    (desk.home.root / "cluster.json").write_text("{")
    with pytest.raises(OpsError, match=r"cluster\.json is damaged: remove it"):
        desk.churn("cluster", "down")
