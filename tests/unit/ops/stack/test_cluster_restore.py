"""``churn cluster restore``, with a kubectl that serves the stack's own templates and ends jobs as each test says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.recorder import manifest
from support.scripts import write_program
from typer.testing import CliRunner

from infra.naming import MLOPS
from ops.cli import main as cli
from ops.cli.cluster_restore import Part
from ops.errors import OpsError
from ops.stack import cluster_restore
from ops.stack.cluster_restore import Options, job

NOW = datetime(2026, 1, 31, 13, 45, 5, tzinfo=UTC)
KUBECTL = """
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
words = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
def check_job(name):
    created = folder / "created.json"
    if not created.exists() or json.loads(created.read_text())["metadata"]["name"] != name:
        sys.exit(f'Error from server (NotFound): jobs.batch "{name}" not found')

if words[:2] == ["config", "current-context"]:
    print("kind-churn")
elif words[:2] == ["get", "cronjob"]:
    path = folder / f"{words[2]}.json"
    sys.exit(f"Error from server (NotFound): {words[2]} not found") if not path.exists() else print(path.read_text())
elif words[:3] == ["create", "-f", "-"]:
    (folder / "created.json").write_text(sys.stdin.read())
elif words[:2] == ["get", "job"]:
    check_job(words[2])
    asked = folder / "asked"
    count = len(asked.read_text()) if asked.exists() else 0
    asked.write_text("x" * (count + 1))
    end = (folder / "end").read_text()
    print(json.dumps({"status": {"conditions": [{"type": end, "status": "True"}] if count else []}}))
elif words[0] == "logs":
    check_job(words[1].removeprefix("job/"))
    step = words[words.index("--container") + 1]
    if step == "mlflow-users" and (folder / "end").read_text() == "Failed":
        sys.exit('error: container "mlflow-users" is waiting to start: PodInitializing')
    print(f"what {step} did")
else:
    sys.exit(f"error: unknown command: {words}")
"""


def template_of(part: str) -> dict[str, Any]:
    """A CronJob as the API server answers it."""
    recorded = manifest("dev", "CronJob", f"restore-{part}")
    return {**recorded, "metadata": {**recorded["metadata"], "uid": f"uid-{part}"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_program(tmp_path / "kubectl", KUBECTL)
    for part in Part:
        path = tmp_path / f"restore-{part.value}.json"
        path.write_text(json.dumps(template_of(part.value)))
    (tmp_path / "end").write_text("Complete")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(cluster_restore, "PAUSE_SECONDS", 0.0)
    return tmp_path


def churn(*words: str) -> str:
    result = CliRunner().invoke(cli.app, ["cluster", "restore", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def created(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / "created.json").read_text())
    return body


def test_a_job_is_the_template_with_the_options_of_this_restore(folder: Path) -> None:
    printed = churn("databases", "--backup", "20260131T020000Z-000001-abcdef", "--replace", "--from", "s3://copy")
    new, template = created(folder), manifest("dev", "CronJob", "restore-databases")["spec"]["jobTemplate"]["spec"]
    assert (new["kind"], new["metadata"]["namespace"]) == ("Job", MLOPS)
    first, *others = new["spec"]["template"]["spec"]["initContainers"]
    expected = template["template"]["spec"]["initContainers"][0]["args"]
    more = ["--backup", "20260131T020000Z-000001-abcdef", "--from", "s3://copy", "--replace"]
    assert first["args"] == [*expected, *more]
    assert others == template["template"]["spec"]["initContainers"][1:]
    first["args"] = expected
    assert new["spec"] == template, "nothing else is changed"
    (owner,) = new["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "restore-databases", "uid": "uid-databases",
        "controller": True,
    }, "or nothing removes it with the stack"  # fmt: skip
    assert "Restoring databases in the cluster of the context kind-churn" in printed
    assert [line for line in printed.splitlines() if " did" in line] == [
        f"{step}: what {step} did" for step in ("databases", "roles", "mlflow-users", "restore")
    ]
    assert "every login has the password of its secret" in printed


def test_without_options_it_is_the_template(folder: Path) -> None:
    for part in Part:
        (folder / "asked").unlink(missing_ok=True)
        churn(part.value)
        template = manifest("dev", "CronJob", f"restore-{part.value}")["spec"]["jobTemplate"]["spec"]
        assert created(folder)["spec"] == template


def test_the_context_is_given_to_every_call(folder: Path) -> None:
    printed = churn("artifacts", "--context", "kind-other")
    assert "of the context kind-other" in printed
    calls = (folder / "calls").read_text().splitlines()
    assert calls
    assert all(call.endswith("--context kind-other") for call in calls), calls


def test_a_failed_restore_shows_its_log_and_is_an_error(folder: Path) -> None:
    (folder / "end").write_text("Failed")
    messages: list[str] = []
    with pytest.raises(OpsError, match="run: churn cluster restore logins"):
        cluster_restore.restore(Options(part="databases"), messages.append)
    assert [line.partition(":")[0] for line in messages[2:]] == ["databases", "roles", "restore"]


def test_a_cluster_without_the_templates_says_so(folder: Path) -> None:
    (folder / "restore-logins.json").unlink()
    with pytest.raises(OpsError, match=r"kubectl get: Error from server \(NotFound\): restore-logins not found"):
        cluster_restore.restore(Options(part="logins"), lambda _: None)


def test_passwords_are_reset_without_options() -> None:
    with pytest.raises(OpsError, match="logins takes no options of a restore"):
        job(template_of("logins"), Options(part="logins", replace=True), NOW)


def test_a_jobs_name_is_its_time_and_fits() -> None:
    for part in ("databases", "artifacts", "logins"):
        name = job(template_of(part), Options(part=part), NOW)["metadata"]["name"]
        assert name == f"restore-{part}-20260131-134505"
        assert len(name) < 53, "pods add ten characters to it"


def test_the_namespace_is_the_programs() -> None:
    assert cluster_restore.NAMESPACE == MLOPS
