"""``churn cluster`` and ``churn images build``, with stand-ins for the tools on PATH that refuse what those refuse."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support.desk import Desk
from support.paths import ROOT
from support.shims.pulumi import OUTPUTS

from infra.naming import OWN_UID
from infra.versions import OWN
from ops.errors import OpsError
from ops.stack import cluster, image_build


def test_each_own_image_is_a_target_of_the_dockerfile_that_runs_as_the_pods_user() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for name in OWN:
        stage = text.split(f" AS {name}\n", 1)[1].split("\nFROM ", 1)[0]
        assert f"USER {OWN_UID}:{OWN_UID}" in stage
        assert "org.opencontainers.image.revision" in stage


def test_building_calls_the_tool_for_each_image(desk: Desk) -> None:
    desk.churn("images", "build", "api", "ops", "--tag", "9")
    built = desk.called("docker build ")
    assert [line.partition("--target ")[2].split()[0] for line in built] == ["api", "ops"]
    assert all("-t churn.invalid/" in line and ":9 " in line and "VERSION=9" in line for line in built)


def test_an_unknown_image_is_named(desk: Desk) -> None:
    with pytest.raises(OpsError, match="there is no image web: the Dockerfile has api, mlflow, ops, training"):
        desk.churn("images", "build", "web")
    assert desk.calls == []


def test_up_makes_a_cluster_where_there_is_none_and_prints_all_addresses(desk: Desk) -> None:
    printed = desk.churn("cluster", "up")
    steps = [line for line in desk.calls if not line.startswith(("kubectl", "docker buildx", "kind get"))]
    kinds = [" ".join(line.split()[:2]) for line in steps]
    assert kinds == [
        "kind create", *["docker build"] * 4, *["docker save", "kind load"] * 4,
        "pulumi stack", "pulumi up", "pulumi stack",
    ]  # fmt: skip
    assert desk.clusters()["churn"]["objects"] == desk.settings("churn:images")["tag"]
    home = Path(printed.split("The certificate to trust is ")[1].split(":", 1)[0]).parent
    assert (home / "certificate.pem").read_text() == OUTPUTS["certificate"]
    assert stat.S_IMODE((home / cluster.PASSPHRASE).stat().st_mode) == 0o600
    assert "https://api.churn.localhost/v1/predict" in printed
    assert OUTPUTS["api_key"] not in printed


def test_up_says_done_only_when_every_pod_is_ready(desk: Desk) -> None:
    desk.churn("cluster", "up")
    up = next(index for index, line in enumerate(desk.calls) if line.startswith("pulumi up"))
    (wait,) = (line for line in desk.calls[up:] if "rollout status" in line)
    assert wait.startswith("kubectl --context kind-churn --namespace churn-mlops rollout status deployment/mlflow")
    desk.change_cluster("churn", unready=["deployment/mlflow"])
    with pytest.raises(OpsError, match="not every pod is ready: deployment/mlflow"):
        desk.churn("cluster", "up")


def test_up_changes_nothing_where_the_stack_could_not_come_up(desk: Desk) -> None:
    desk.add_cluster("desk", "https://kubernetes.docker.internal:6443", "docker-desktop")
    desk.change_cluster("desk", size={"cpu": "200m", "memory": "16Gi", "pods": "110"})
    with pytest.raises(OpsError, match="CPU"):
        desk.churn("cluster", "up")
    assert [line for line in desk.calls if not line.startswith("kubectl")] == []
    assert not any(" apply " in line for line in desk.calls)


def test_up_uses_a_local_cluster_that_is_there_and_leaves_it_at_the_end(desk: Desk) -> None:
    desk.add_cluster("desk", "https://kubernetes.docker.internal:6443", "docker-desktop")
    desk.churn("cluster", "up")
    assert desk.called("kind create") == []
    assert desk.record()["context"] == "docker-desktop"
    desk.churn("cluster", "down")
    assert desk.clusters()["desk"]["objects"] == {}


def test_the_passphrase_is_made_once_and_the_users_own_wins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    home = desk.home
    first = cluster.pulumi_environment(home)
    text = Path(first["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    assert Path(cluster.pulumi_environment(home)["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text() == text
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    own = cluster.pulumi_environment(home)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in own
    assert (own["PULUMI_CONFIG_PASSPHRASE"], own["PULUMI_BACKEND_URL"]) == ("mine", "s3://states")


def test_without_a_cluster_and_without_kind_the_remedy_is_named(desk: Desk) -> None:
    (desk.bin / "kind").unlink()
    with pytest.raises(OpsError, match="install kind"):
        desk.churn("cluster", "up")


def test_a_kind_cluster_that_is_stopped_is_named_with_the_remedy(desk: Desk) -> None:
    desk.churn("cluster", "up")
    desk.change_cluster("churn", running=False)
    with pytest.raises(OpsError, match="there but does not answer: start its container churn-control-plane"):
        desk.churn("cluster", "up")


def test_down_destroys_the_stack_and_the_cluster_that_was_made(desk: Desk) -> None:
    desk.churn("cluster", "up")
    desk.churn("cluster", "down")
    assert desk.called("pulumi destroy") == ["pulumi destroy --stack dev --yes"]
    assert desk.calls[-1] == "kind delete cluster --name churn"
    assert (desk.clusters(), desk.current_context, desk.settings("churn:cluster")["context"]) == ({}, "", "")


def test_a_cluster_that_is_kept_is_used_again_and_still_goes_with_a_later_down(desk: Desk) -> None:
    desk.churn("cluster", "up")
    desk.churn("cluster", "down", "--keep-cluster")
    assert desk.clusters()["churn"]["objects"] == {}
    desk.churn("cluster", "up")
    desk.churn("cluster", "down")
    assert desk.clusters() == {}
    assert len(desk.called("kind create")) == 1


def test_a_kind_cluster_of_the_users_own_is_never_deleted(desk: Desk) -> None:
    desk.churn("cluster", "up")
    desk.churn("cluster", "down")
    desk.run("kind", "create", "cluster", "--name", "churn")
    desk.churn("cluster", "up")
    desk.churn("cluster", "down")
    assert desk.clusters()["churn"]["objects"] == {}


def test_a_failed_step_ends_the_command(desk: Desk) -> None:
    (desk.root / "Dockerfile").write_text("FROM scratch AS other\n")
    with pytest.raises(OpsError, match="failed with exit code 1"):
        desk.churn("cluster", "up")
    assert desk.called("pulumi") == []


def test_a_cluster_that_nothing_got_into_is_removed_too(desk: Desk) -> None:
    desk.set("CHURN_LOAD", "false")
    with pytest.raises(OpsError, match=r"^false churn"):
        desk.churn("cluster", "up")
    desk.churn("cluster", "down", "--keep-cluster")
    assert set(desk.clusters()) == {"churn"}
    desk.churn("cluster", "down")
    assert desk.clusters() == {}
    with pytest.raises(OpsError, match="names no cluster"):
        desk.churn("cluster", "down")
    assert desk.called("pulumi") == []


def test_a_missing_build_tool_is_reported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    del desk
    find: Callable[[str], list[str]] = image_build.find_tool
    with pytest.raises(OpsError, match="install docker"):
        find("")
