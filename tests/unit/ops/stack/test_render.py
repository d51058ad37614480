"""``churn render``: complete, stable, offline, and without a secret."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from support.paths import ROOT
from support.recorder import STACKS, config, recorded
from typer.testing import CliRunner, Result

from infra.config import ConfigError
from ops.cli import main as cli
from ops.cli import render as render_commands
from ops.errors import OpsError
from ops.stack import render
from ops.stack.checkout import stack_names
from ops.stack.recording import MASK, STAND_IN, Recording, record
from ops.stack.render import MARKER, Rendered

RECEIVERS = "churn:receivers"
# The rules of `safe_load`, in C where that is installed: a render of prod is large.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SELDOM = pytest.mark.long(seconds=60, together=__name__)


def churn(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["render", *arguments])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_receivers(values: dict[str, Any]) -> dict[str, Any]:
    """The configuration of dev with Slack on, and these secrets of the receivers."""
    settings = config("dev")
    slack = settings["churn:alertmanager"] | {"slack": True, "slack_channel": "#churn"}
    return {**settings, "churn:alertmanager": slack, RECEIVERS: values}


def rendered_with(receivers: dict[str, Any]) -> dict[str, str]:
    return render.files(render.recorded("dev", with_receivers(receivers), {}))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stacks, written by the command in a separate process, with an environment that is nearly empty."""
    return render_in_a_process(tmp_path_factory.mktemp("first"), hash_seed="0")


def render_in_a_process(folder: Path, hash_seed: str) -> Path:
    out = folder / "rendered"
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "render", "--stack", "all", "--out", str(out)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder / "nobody"), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return out


@SELDOM
def test_two_renders_are_the_same_to_the_byte(out: Path, tmp_path: Path) -> None:
    first, second = tree(out), tree(render_in_a_process(tmp_path, hash_seed="4711"))
    assert first == second
    assert {path.split("/")[0] for path in first} == {MARKER, *STACKS}


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_is_a_file_and_every_file_a_resource(out: Path, stack: str) -> None:
    recording = recorded(stack)
    paths = (out / stack / "kubernetes").rglob("*.yaml")
    objects = [yaml.load(path.read_text(), LOADER) for path in paths]  # noqa: S506 - a safe one

    def identity(manifest: dict[str, Any]) -> tuple[str, str, str]:
        # Names that Pulumi makes end with a digest, which depends on the made-up digests of the images.
        metadata = manifest["metadata"]
        named_by_pulumi = manifest["kind"] in {"ConfigMap", "Secret", "Job"}
        name = metadata["name"].rpartition("-")[0] if named_by_pulumi else metadata["name"]
        return manifest["kind"], metadata.get("namespace", ""), name

    assert sorted(map(identity, objects)) == sorted(map(identity, recording.manifests()))
    others = [json.loads(path.read_text()) for path in (out / stack / "resources").rglob("*.json")]
    assert sorted((item["type"], item["name"]) for item in others) == sorted(
        (item.type, item.name) for item in recording.resources if not item.is_kubernetes
    )
    assert json.loads((out / stack / "outputs.json").read_text()).keys() == recording.outputs.keys()


def test_a_file_is_named_by_namespace_kind_and_name_without_the_digest(out: Path) -> None:
    assert (out / "dev/kubernetes/churn-serving/Deployment-api.yaml").is_file()
    assert (out / "dev/kubernetes/_cluster/Namespace-churn-serving.yaml").is_file()
    assert (out / "dev/kubernetes/churn-mlops/Job-training-first.yaml").is_file()
    assert (out / "dev/resources/random/RandomPassword-local-api-key.json").is_file()


def test_protection_of_state_is_visible(out: Path) -> None:
    claim = "kubernetes/churn-mlops/PersistentVolumeClaim-backup-data.yaml"
    comments = "# pulumi protect: true\n# pulumi retainOnDelete: true\n"
    assert (out / "prod" / claim).read_text().startswith(comments)
    assert not (out / "dev" / claim).read_text().startswith("#")


def test_no_file_holds_a_secret_value(out: Path) -> None:
    # The recording contains the values, so they could have been written.
    assert STAND_IN in json.dumps(recorded("dev").manifests())
    leaking = [path for path, content in tree(out).items() if STAND_IN.encode() in content]
    assert leaking == []
    secret = yaml.safe_load((out / "dev/kubernetes/churn-serving/Secret-api-mlflow-api-secret.yaml").read_text())
    assert secret["stringData"] == {"username": MASK, "password": MASK}


def test_a_receivers_secret_is_in_no_file_even_when_it_was_not_encrypted() -> None:
    canary = "canary-4c1d"
    values = {"slack_url": f"https://hooks.example/{canary}", "smtp_password": canary}
    settings = with_receivers(values)
    recording = record("dev", render.stack_program({}), settings)
    assert canary in json.dumps(recording.manifests()), "the program received it"
    assert [path for path, text in render.files(recording).items() if canary in text] == []
    # The command does not even pass it to the program, so no digest depends on it.
    assert canary not in json.dumps(render.recorded("dev", settings, {}).manifests())


def test_secret_outputs_are_masked_and_others_are_not() -> None:
    outputs = {"api_url": "https://api.example", "api_key": "a-secret"}
    recording = Recording(stack="dev", outputs=outputs, secret_outputs=frozenset({"api_key"}))
    written = json.loads(render.files(recording)["outputs.json"])
    assert written == {"api_url": "https://api.example", "api_key": MASK}


@SELDOM
def test_a_changed_encrypted_value_shows_as_pods_that_roll() -> None:
    before = rendered_with({"slack_url": {"secure": "v1:aaaa"}})
    assert before == rendered_with({"slack_url": {"secure": "v1:aaaa"}})
    after = rendered_with({"slack_url": {"secure": "v1:bbbb"}})
    changed = sorted(path.rpartition("/")[2] for path in before if before[path] != after[path])
    assert changed == ["Secret-alertmanager-alert-receivers-secret.yaml", "StatefulSet-alertmanager.yaml"]
    for path in before:
        if before[path] != after[path]:
            old, new = before[path].splitlines(), after[path].splitlines()
            lines = [line for line, other in zip(old, new, strict=True) if line != other]
            assert len(lines) == 1, lines
            assert "alertmanager-alert-receivers-secret-" in lines[0]
    assert before.keys() == after.keys()


def test_texts_are_blocks_and_nothing_is_folded_or_abbreviated() -> None:
    shared = ["x"]
    value = {"sql": "a\nb\n", "one": shared, "two": shared, "long": "word " * 60}
    lines = yaml.dump(value, Dumper=render._Dumper, width=render.WIDTH).splitlines()
    assert lines == [f"long: '{'word ' * 60}'", "one:", "- x", "sql: |", "  a", "  b", "two:", "- x"]


@SELDOM
def test_it_asks_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a render reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert churn("--stack", "prod", "--out", str(tmp_path / "out")).exit_code == 0


@SELDOM
def test_a_made_up_account_and_missing_digests_are_noted_on_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(render, "locked_digests", lambda: {"churn/ops:0.1.0": "sha256:" + "0" * 64})
    result = churn("--stack", "all", "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout).keys() == set(STACKS)
    notes = [line for line in result.stderr.splitlines() if line.startswith("Note: ")]
    assert [note.split(":")[1].strip() for note in notes] == ["prod", "prod", "staging"]
    assert "rendered for an account that does not exist" in notes[0]
    assert "have no locked digest" in notes[1]
    assert "churn/api:0.1.0" in notes[1]
    assert "churn/ops:0.1.0" not in notes[1]
    assert "churn images lock" in notes[1]
    job = (tmp_path / "out/prod/kubernetes/churn-mlops/CronJob-backup-postgres.yaml").read_text()
    assert f"image: churn/ops:0.1.0@sha256:{'0' * 64}\n" in job


@pytest.mark.parametrize("command", [["render", "--stack", "dev", "--out", "out"], ["images", "list"]])
def test_missing_packages_are_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setattr(render_commands, "find_spec", lambda _: None)
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 1
    assert "run `make infra` in a checkout" in str(result.exception)


def test_an_unknown_stack_is_named_with_the_known_ones(tmp_path: Path) -> None:
    for name in ("production", "../dev", ""):
        result = churn("--stack", name, "--out", str(tmp_path / "out"))
        assert result.exit_code == 1
        assert str(result.exception) == f"there is no stack {name!r}: choose one of dev, prod, staging"
    assert not (tmp_path / "out").exists()


def test_a_configuration_that_cannot_work_writes_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Pulumi.dev.yaml", tmp_path / "Pulumi.dev.yaml")
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("min_replicas: 2", "min_replicas: 20"))
    assert stack_names(tmp_path) == ["dev"]
    with pytest.raises(ConfigError, match="max_replicas 10 is below min_replicas 20"):
        render.render("dev", tmp_path)


# ------------------------------------------------------------------ writing


def small(stack: str, **files: str) -> Rendered:
    return Rendered(stack=stack, files={f"{name}.yaml": text for name, text in files.items()}, objects=0, notes=[])


def test_a_later_render_replaces_its_own_stack_alone(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    render.write(out, [small("dev", a="1", b="2"), small("prod", a="3")])
    render.write(out, [small("dev", a="4")])
    assert {path: text for path, text in tree(out).items() if path != MARKER} == {
        "dev/a.yaml": b"4",
        "prod/a.yaml": b"3",
    }


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "thesis.txt").write_text("mine")
    with pytest.raises(OpsError, match="holds files that no render wrote: name an empty or a new folder"):
        render.write(tmp_path, [small("dev", a="1")])
    assert tree(tmp_path) == {"dev/thesis.txt": b"mine"}


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OpsError, match="is a file: name a folder"):
        render.write(tmp_path / "out", [small("dev", a="1")])


def test_two_resources_that_would_share_a_file_are_refused() -> None:
    recording = recorded("dev")
    twice = type(recording)(stack="dev", resources=[*recording.resources, recording.resources[-1]])
    with pytest.raises(OpsError, match="two resources of dev would be the file"):
        render.files(twice)
