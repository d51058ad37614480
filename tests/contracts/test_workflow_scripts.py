"""The scripts of the GitHub workflows do what they promise: each is run as a runner runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.workflows import script

from ops.stack.render_diff import FAILED, MARKER


def run(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a runner runs a step whose shell is bash."""
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", text]
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder)} | environment
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def checkout(folder: Path, churn: str) -> None:
    """Write a revision with two stacks, whose `churn` is a script."""
    program(folder / ".venv" / "bin" / "churn", churn)
    (folder / "Makefile").write_text("infra:\n\t@true\n")
    for stack in ("dev", "prod"):
        (folder / f"Pulumi.{stack}.yaml").write_text("config: {}\n")


RENDERS = 'mkdir "$5/$3"; touch "$5/.churn-render"; echo "of $3" >"$5/$3/object.yaml"; echo noise'
"""Stands in for ``churn render --stack STACK --out FOLDER``."""
RENDER_STEP = "Render every stack of both"


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_both_sides_are_rendered(tmp_path: Path) -> None:
    checkout(tmp_path / "base", RENDERS)
    checkout(tmp_path / "head", RENDERS)
    done = run(script("preview", RENDER_STEP), tmp_path)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "rendered") == {
        f"{side}/{stack}/object.yaml": f"of {stack}\n" for side in ("base", "head") for stack in ("dev", "prod")
    }


def test_a_side_that_cannot_render_leaves_its_reason(tmp_path: Path) -> None:
    checkout(tmp_path / "base", "echo \"No such command 'render'.\" >&2; exit 2")
    checkout(tmp_path / "head", f'{RENDERS}; if [ "$3" = prod ]; then echo broken >&2; exit 1; fi')
    done = run(script("preview", RENDER_STEP), tmp_path)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "rendered") == {
        f"base/dev{FAILED}": "No such command 'render'.\n",
        f"base/prod{FAILED}": "No such command 'render'.\n",
        "head/dev/object.yaml": "of dev\n",
        f"head/prod{FAILED}": "noise\nbroken\n",
    }
    verdict = run(script("preview", "The head must render"), tmp_path)
    assert (verdict.returncode, "broken" in verdict.stdout) == (1, True)


def test_a_base_without_an_environment_is_no_failure(tmp_path: Path) -> None:
    checkout(tmp_path / "base", RENDERS)
    (tmp_path / "base" / "Makefile").write_text("infra:\n\t@rm .venv/bin/churn; exit 1\n")
    checkout(tmp_path / "head", RENDERS)
    assert run(script("preview", RENDER_STEP), tmp_path).returncode == 0
    assert "churn" in tree(tmp_path / "rendered")[f"base/dev{FAILED}"]
    assert run(script("preview", "The head must render"), tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("comments", "call"),
    [
        ("", "api --silent --method POST repos/o/r/issues/7/comments --field body=@comment.md"),
        ("11", "api --silent --method PATCH repos/o/r/issues/comments/11 --field body=@comment.md"),
        ("11\\n12", "api --silent --method PATCH repos/o/r/issues/comments/11 --field body=@comment.md"),
    ],
)
def test_there_is_one_comment(tmp_path: Path, comments: str, call: str) -> None:
    """A stand-in for `gh` lists existing comments and notes its calls."""
    program(
        tmp_path / "bin" / "gh",
        f'printf "%s\\n" "$*" >>calls; if [[ "$*" == *paginate* ]]; then printf "{comments}"; fi',
    )
    (tmp_path / "comment.md").write_text(MARKER)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    text = script("preview", "Write or update the one comment")
    done = run(text, tmp_path, PATH=path, COMMENTS="repos/o/r/issues/7/comments", UPDATES="repos/o/r/issues/comments")
    assert done.returncode == 0, done.stderr
    listing, *others = (tmp_path / "calls").read_text().splitlines()
    assert "--paginate repos/o/r/issues/7/comments" in listing
    assert f'startswith("{MARKER}")' in listing
    assert others == [call]


def test_a_failing_list_of_comments_does_not_add_one(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "gh", 'printf "%s\\n" "$*" >>calls; exit 1')
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    text = script("preview", "Write or update the one comment")
    assert run(text, tmp_path, PATH=path, COMMENTS="c", UPDATES="u").returncode == 1
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
