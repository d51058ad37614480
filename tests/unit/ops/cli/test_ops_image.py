"""The commands of the cluster's jobs start in an image that has `app` and `ops`, and no other of our packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

ABSENT = ("training", "infra", "dashboards", "benchmarks", "pandas", "mlflow", "sklearn")
PROGRAM = f"""\
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))
from ops.cli import main as cli
sys.argv = ["churn", *sys.argv[1:]]
cli.main()
"""


def run(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    places = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    env = places | {"PYTHONDONTWRITEBYTECODE": "1"} | environment
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_image_has_these_packages_alone() -> None:
    stage = (ROOT / "Dockerfile").read_text("utf-8").partition("\nFROM environment AS ops\n")[2]
    assert re.findall(r"^COPY (?!--from)(\w+) \w+$", stage, flags=re.MULTILINE) == ["app", "ops"]


@pytest.mark.parametrize("command", ["backup postgres", "backup artifacts", "backup verify", "restore", "drill"])
def test_a_command_explains_itself(command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert f"Example: churn {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("backup", "artifacts", "--from", "a", "--to", "b"), 1, "b has no dump that artifacts could be tied to"),
        (("backup", "verify", "--from", "a"), 2, "a: there is no such folder with backups"),
        (("restore", "--from", "a", "--artifacts-to", "b"), 2, "a: there is no such folder with backups"),
        (("drill", "--from", "a", "--scratch", "."), 2, "the backup is not proven: "),
    ],
)
def test_a_command_works_and_fails_in_one_plain_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: {message}")
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backup", "postgres", "--to", "b"), "Missing option"),
        (("backup", "artifacts", "--from", "a", "--to", "b", "--keep-days", "0"), "Invalid value for '--keep-days'"),
        (("backup", "artifacts", "--from", "a", "--to", "b", "--upload-to", "s3://b"), "No such option"),
    ],
)
def test_wrong_usage_is_for_a_person_and_plain(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments, folder=tmp_path, TERM="xterm-256color")
    assert done.returncode == 2
    assert message in done.stderr
    assert not {"\x1b", "╭", "│"} & set(done.stderr)
    assert not list(tmp_path.iterdir())
