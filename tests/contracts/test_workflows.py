"""The GitHub workflows are well-formed, have few rights and run the same checks."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT
from support.servers import require_tool
from support.tools import go_tool
from support.workflows import script, steps, workflow

from ops.stack import github_rules
from ops.stack.bootstrap import SESSION_HOURS

pytestmark = pytest.mark.timeout(1200)  # the first run of a machine builds actionlint
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
PERMISSIONS = {
    "ci": {"": {"contents": "read"}},
    "nightly": {"": {"contents": "read"}},
    "preview": {
        "": {},
        "render": {"contents": "read"},
        "comment": {"pull-requests": "write"},
        "pulumi": {"contents": "read", "id-token": "write"},
    },
    "images": {"": {}, "build": {"contents": "read", "id-token": "write"}},
    "deploy": {
        "": {},
        "staging": {"contents": "read", "id-token": "write"},
        "prod": {"contents": "read", "id-token": "write"},
    },
    "drift": {"": {}, "compare": {"contents": "read", "id-token": "write"}},
}
"""What each workflow's token may do: under an empty name in all jobs, then in the jobs that differ."""


def lint(folder: Path, *files: Path, shellcheck: str = "") -> list[str]:
    """What actionlint finds in these files; it runs shellcheck only if its path is given."""
    command = [str(go_tool("actionlint")), f"-shellcheck={shellcheck}", "-pyflakes=", "-format", "{{json .}}"]
    done = subprocess.run([*command, *map(str, files)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return [f"{Path(p['filepath']).name}:{p['line']}: {p['message']}" for p in json.loads(done.stdout) or ()]


def sample(tmp_path: Path, step: str) -> Path:
    path = tmp_path / "sample.yml"
    path.write_text(f"on: push\njobs:\n  one:\n    runs-on: ubuntu-24.04\n    steps:\n      - {step}\n")
    return path


def test_the_table_of_permissions_has_every_workflow() -> None:
    assert {path.stem for path in WORKFLOWS} == set(PERMISSIONS)


def test_actionlint_finds_nothing() -> None:
    assert lint(ROOT, *WORKFLOWS) == []


def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    assert lint(ROOT, *WORKFLOWS, shellcheck=require_tool("shellcheck")) == []


def test_a_bad_workflow_is_found(tmp_path: Path) -> None:
    assert "undefined variable" in lint(tmp_path, sample(tmp_path, "run: echo ${{ gihub.sha }}"))[0]
    untrusted = "run: echo '${{ github.event.pull_request.title }}'"
    assert "potentially untrusted" in lint(tmp_path, sample(tmp_path, untrusted))[0]


def test_a_bad_script_is_found(tmp_path: Path) -> None:
    (finding,) = lint(tmp_path, sample(tmp_path, "run: rm -r $HOME/x y"), shellcheck=require_tool("shellcheck"))
    assert "SC2086" in finding


@pytest.mark.parametrize("name", PERMISSIONS)
def test_each_token_may_do_only_what_it_must(name: str) -> None:
    document = workflow(name)
    permissions = {"": document["permissions"]} | {
        job: content["permissions"] for job, content in document["jobs"].items() if "permissions" in content
    }
    assert permissions == PERMISSIONS[name]


@pytest.mark.parametrize("name", PERMISSIONS)
def test_no_code_of_a_change_runs_with_a_token_that_can_write(name: str) -> None:
    document = workflow(name)
    triggers = {str(key): value for key, value in document.items()}["True"]  # YAML 1.1 reads `on` as true
    assert set(triggers) <= {"push", "pull_request", "schedule", "workflow_run"}
    # A workflow that another one starts has all rights of the main branch, so it may only follow runs on main.
    assert triggers.get("workflow_run", {}).get("branches", ["main"]) == ["main"]
    for job, content in document["jobs"].items():
        allowed = content.get("permissions", document["permissions"])
        if "write" in {level for scope, level in allowed.items() if scope != "id-token"}:
            used = [step.get("uses", "") for step in content["steps"]]
            assert not [action for action in used if action.startswith("actions/checkout")], job
    for _, step in steps(name):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


HOSTED = r"ubuntu-\d\d\.\d\d"
VARIABLE = r"vars(?:\.RUNNER_(?:STAGING|PROD)|\[format\('RUNNER_\{0\}', matrix\.stack\)\])"
OWN_RUNNER = rf"\$\{{\{{ format\({VARIABLE} \|\| '{HOSTED}', github\.run_id, github\.run_attempt\) \}}\}}"
"""A runner of one's own, or a hosted one. CodeBuild's label has the numbers of the run and of the attempt."""


def test_every_job_that_needs_a_cluster_can_have_a_runner_that_reaches_it() -> None:
    """Hosted runners have no fixed address that an API server could admit."""
    own = {
        f"{name}/{job}"
        for name in PERMISSIONS
        for job, content in workflow(name)["jobs"].items()
        if re.fullmatch(OWN_RUNNER, content["runs-on"])
    }
    reaching = {
        f"{name}/{job}"
        for name in PERMISSIONS
        for job, step in steps(name)
        if re.search("AWS_(DEPLOY|PREVIEW)_ROLE|matrix.role", str(step))
    }
    assert own == reaching == {"deploy/staging", "deploy/prod", "preview/pulumi", "drift/compare"}
    for stack in ("staging", "prod"):
        assert f"RUNNER_{stack.upper()}" in workflow("deploy")["jobs"][stack]["runs-on"]


MINUTES = {"deploy": SESSION_HOURS * 60, "nightly": 180}
"""How long the jobs of a workflow may take, where it is more than an hour."""


@pytest.mark.parametrize("name", PERMISSIONS)
def test_actions_runners_and_times_are_pinned(name: str) -> None:
    for job, content in workflow(name)["jobs"].items():
        assert re.fullmatch(rf"{HOSTED}|{OWN_RUNNER}", content["runs-on"]), job
        assert 0 < content["timeout-minutes"] <= MINUTES.get(name, 60), job
    for _, step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w./-]+@v\d+(\.\d+){0,2}", step["uses"]), step["uses"]


def test_prod_gets_what_staging_got_and_only_after_it() -> None:
    jobs = workflow("deploy")["jobs"]
    assert jobs["prod"]["needs"] == "staging"
    assert (jobs["staging"]["environment"], jobs["prod"]["environment"]) == ("staging", "prod")
    assert jobs["prod"]["steps"] == jobs["staging"]["steps"]
    (checkout,) = [step for step in jobs["prod"]["steps"] if step.get("uses", "").startswith("actions/checkout")]
    assert checkout["with"]["ref"] == "${{ github.event.workflow_run.head_sha }}"


def test_a_deployment_outlives_no_session_and_takes_up_what_was_killed() -> None:
    """The role allows as long a session as the workflow asks for: AWS would refuse a longer one."""
    for job, content in workflow("deploy")["jobs"].items():
        (login,) = [s["with"] for s in content["steps"] if s.get("uses", "").startswith("aws-actions/configure")]
        assert login["role-duration-seconds"] == SESSION_HOURS * 3600, job
        assert content["timeout-minutes"] == SESSION_HOURS * 60, job
        titles = [step.get("name") or step.get("with", {}).get("command") for step in content["steps"]]
        assert titles.index("Take up a run that was killed") < titles.index("up")
    assert workflow("deploy")["concurrency"] == {"group": "deploy", "cancel-in-progress": False}


def test_drift_fails_on_any_change_of_every_stack_on_aws() -> None:
    job = workflow("drift")["jobs"]["compare"]
    matrix = job["strategy"]["matrix"]["include"]
    assert matrix == [
        {"stack": stack, "role": f"AWS_DRIFT_ROLE_{stack.upper()}", "backend": f"PULUMI_BACKEND_URL_{stack.upper()}"}
        for stack in ("staging", "prod")
    ]
    assert job["steps"][-1]["with"]["expect-no-changes"] is True
    assert job["steps"][-1]["with"]["refresh"] is True


def test_a_pull_request_sees_staging_alone() -> None:
    assert workflow("preview")["jobs"]["pulumi"]["strategy"]["matrix"] == {"stack": ["staging"]}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_sets_a_passphrase(path: Path) -> None:
    """A KMS key encrypts the stacks; a passphrase that is set, even to nothing, would take its place in the state."""
    assert "PULUMI_CONFIG_PASSPHRASE" not in path.read_text(encoding="utf-8")


def test_the_rules_of_the_main_branch_ask_for_the_jobs_of_ci() -> None:
    jobs = workflow("ci")["jobs"]
    versions = jobs["check"]["strategy"]["matrix"]["python"]
    assert {*(f"check ({version})" for version in versions), "demo"} == set(github_rules.CHECKS)
    assert set(jobs) == {"check", "demo"}


@pytest.mark.parametrize("job", ["comment", "pulumi"])
def test_what_needs_more_than_reading_is_not_tried_for_a_fork(job: str) -> None:
    assert (
        "github.event.pull_request.head.repo.full_name == github.repository" in workflow("preview")["jobs"][job]["if"]
    )


def test_ci_makes_and_installs_what_the_other_continuous_integration_does() -> None:
    """`.ci/run` is for a bare Debian, so it installs Python and make too; it alone may have a cluster."""
    other = (ROOT / ".ci" / "run").read_text("utf-8")
    targets = " ".join(re.findall(r"^for name in (.*); do$", other, re.MULTILINE)).split()
    runs = [step["run"].split() for _, step in steps("ci") if step.get("run", "").startswith("make ")]
    assert [target for _, *words in runs for target in words] == targets
    packages = set(re.findall(r"missing\+=\(([\w-]+)\)", other)) - {"make", "python3-venv"}
    installed = script("ci", "Install the servers that tests run against").replace("\\\n", " ").split()
    assert packages <= set(installed)


def test_the_oldest_supported_python_is_tried() -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert oldest
    assert workflow("ci")["jobs"]["check"]["strategy"]["matrix"]["python"][0] == oldest[1]
