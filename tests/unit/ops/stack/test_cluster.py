"""``churn cluster`` and ``churn images build``, with programs on PATH that only note how they are called."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support.paths import ROOT
from typer.testing import CliRunner

from infra.naming import OWN_UID
from infra.versions import OWN
from ops.cli import main as cli
from ops.errors import OpsError
from ops.local.home import Home
from ops.stack import cluster, image_build

OUTPUTS = {
    "api_url": "https://api.churn.localhost",
    "mlflow_url": "https://mlflow.churn.localhost",
    "grafana_url": "https://grafana.churn.localhost",
    "certificate": "-----BEGIN CERTIFICATE-----\n",
    "api_key": "local.secret",
}
WORKLOAD = {"kind": "Deployment", "metadata": {"name": "mlflow", "namespace": "churn-mlops"}}
WORKLOADS = f"*get\\ deployments*) printf '%s' '{json.dumps({'items': [WORKLOAD]})}'"


class Desk:
    """A PATH with stand-ins for the tools; ``calls`` holds their command lines."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self._log = folder / "calls"
        self._log.touch()

    def tool(self, name: str, *cases: str) -> None:
        """A program that notes its call; ``cases`` are lines of a shell `case` on all arguments."""
        lines = "\n".join(f"  {case} ;;" for case in cases)
        script = f'#!/bin/sh\necho "{name} $*" >> {self._log}\ncase "$*" in\n{lines}\nesac\n'
        path = self.bin / name
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path)
    monkeypatch.setenv("PATH", f"{desk.bin}:/usr/bin:/bin")
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    desk.tool("docker")
    desk.tool("pulumi", f"*output*) printf '%s' '{json.dumps(OUTPUTS)}'")
    desk.tool("kubectl", "*current-context*) echo kind-desk", "*readyz*) printf ok", WORKLOADS)
    desk.tool("kind", "*clusters*) echo churn")
    return desk


def churn(*words: str) -> str:
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_each_own_image_is_a_target_of_the_dockerfile_that_runs_as_the_pods_user() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for name in OWN:
        stage = text.split(f" AS {name}\n", 1)[1].split("\nFROM ", 1)[0]
        assert f"USER {OWN_UID}:{OWN_UID}" in stage
        assert "org.opencontainers.image.revision" in stage


def test_building_calls_the_tool_for_each_image(desk: Desk) -> None:
    churn("images", "build", "api", "ops", "--tag", "9")
    built = [line for line in desk.calls if line.startswith("docker build")]
    assert [line.partition("--target ")[2].split()[0] for line in built] == ["api", "ops"]
    assert all("-t churn/" in line and ":9 " in line and "VERSION=9" in line for line in built)


def test_an_unknown_image_is_named(desk: Desk) -> None:
    with pytest.raises(OpsError, match="there is no image web: the Dockerfile has api, mlflow, ops, training"):
        churn("images", "build", "web")
    assert desk.calls == []


def test_up_uses_the_current_cluster_and_prints_all_addresses(desk: Desk) -> None:
    printed = churn("cluster", "up")
    calls = [line for line in desk.calls if not line.startswith("kubectl")]
    kinds = [" ".join(line.split()[:2]) for line in calls]
    assert kinds == ["docker build"] * 4 + ["kind load"] * 4 + ["pulumi stack", "pulumi up", "pulumi stack"]
    assert "--name desk" in next(line for line in calls if line.startswith("kind load"))
    home = Path(printed.split("The certificate to trust is ")[1].split(":", 1)[0]).parent
    assert (home / "certificate.pem").read_text() == OUTPUTS["certificate"]
    assert stat.S_IMODE((home / cluster.PASSPHRASE).stat().st_mode) == 0o600
    assert "https://api.churn.localhost/v1/predict" in printed
    assert OUTPUTS["api_key"] not in printed


def test_up_says_done_only_when_every_pod_is_ready(desk: Desk) -> None:
    churn("cluster", "up", "--no-build")
    up = next(index for index, line in enumerate(desk.calls) if line.startswith("pulumi up"))
    (wait,) = (line for line in desk.calls[up:] if "rollout status" in line)
    assert wait.startswith("kubectl --context kind-desk --namespace churn-mlops rollout status deployment/mlflow")
    desk.tool("kubectl", "*current-context*) echo a", "*readyz*) printf ok", WORKLOADS, "*rollout*) exit 1")
    with pytest.raises(OpsError, match="not every pod is ready: deployment/mlflow"):
        churn("cluster", "up", "--no-build")


def test_the_passphrase_is_made_once_and_the_users_own_wins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    del desk
    home = Home.from_environment()
    first = cluster.pulumi_environment(home)
    text = Path(first["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    assert Path(cluster.pulumi_environment(home)["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text() == text
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    own = cluster.pulumi_environment(home)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in own
    assert (own["PULUMI_CONFIG_PASSPHRASE"], own["PULUMI_BACKEND_URL"]) == ("mine", "s3://states")


def test_without_a_cluster_kind_makes_one(desk: Desk) -> None:
    desk.tool("kubectl", "*current-context*) exit 1", WORKLOADS)
    churn("cluster", "up", "--no-build")
    assert "kind create cluster --name churn --wait 120s" in desk.calls


def test_without_a_cluster_and_without_kind_the_remedy_is_named(desk: Desk) -> None:
    desk.tool("kubectl", "*current-context*) exit 1")
    (desk.bin / "kind").unlink()
    with pytest.raises(OpsError, match="install kind"):
        churn("cluster", "up")


def test_down_destroys_the_stack_and_the_cluster_that_was_made(desk: Desk) -> None:
    churn("cluster", "down")
    assert desk.calls[0].startswith("pulumi destroy --stack dev --yes")
    assert desk.calls[-1] == "kind delete cluster --name churn"


def test_a_failed_step_ends_the_command(desk: Desk) -> None:
    desk.tool("docker", "*) exit 3")
    with pytest.raises(OpsError, match="failed with exit code 3"):
        churn("cluster", "up")
    assert not [line for line in desk.calls if line.startswith("pulumi")]


def test_up_changes_nothing_where_the_stack_could_not_come_up(desk: Desk) -> None:
    empty = """*nodes,pods*) printf '{"items": []}'"""
    desk.tool("kubectl", "*current-context*) echo kind-desk", "*readyz*) printf ok", empty)
    with pytest.raises(OpsError, match="no default storage class"):
        churn("cluster", "up")
    assert [line for line in desk.calls if not line.startswith("kubectl")] == []
    assert not any(" apply " in line for line in desk.calls)


@pytest.mark.parametrize(
    ("context", "named", "expected"),
    [
        ("kind-desk", "", ["kind", "load", "docker-image", "--name", "desk"]),
        ("minikube", "", ["minikube", "image", "load"]),
        ("k3d-a", "", ["k3d", "image", "import", "--cluster", "a"]),
        ("docker-desktop", "", None),
        ("elsewhere", "nerdctl load", ["nerdctl", "load"]),
    ],
)
def test_the_load_command_depends_on_the_cluster(context: str, named: str, expected: list[str] | None) -> None:
    assert image_build.loader(context, named) == expected


def test_a_cluster_of_another_kind_asks_for_the_command() -> None:
    with pytest.raises(OpsError, match="--load"):
        image_build.loader("arn:aws:eks:eu-central-1:1:cluster/x", "")


def test_a_missing_build_tool_is_reported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    del desk
    find: Callable[[str], list[str]] = image_build.find_tool
    with pytest.raises(OpsError, match="install docker"):
        find("")
