"""The tag of the images changes with what goes into them, and a second `up` runs the new code."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from support.desk import Desk
from support.paths import ROOT

from app import __version__
from infra.config_types import Tag
from infra.versions import OWN
from ops.errors import OpsError
from ops.stack import content
from ops.stack.stack_file import set_values, with_values


def test_a_second_up_rolls_what_was_changed_and_nothing_else(desk: Desk) -> None:
    desk.churn("cluster", "up")
    first = desk.clusters()["churn"]["objects"]
    desk.churn("cluster", "up")
    assert desk.clusters()["churn"]["objects"] == first
    (desk.root / "app" / "code.py").write_text("# the new code\n")
    desk.churn("cluster", "up")
    second = desk.clusters()["churn"]["objects"]
    assert second != first
    assert {f"churn.invalid/{name}:{second}" for name in OWN} <= set(desk.clusters()["churn"]["images"])


def test_what_was_not_built_and_loaded_is_not_run(desk: Desk) -> None:
    before = desk.settings("churn:images")
    desk.add_cluster("churn", "https://127.0.0.1:6443", "kind-churn")
    with desk.failing("kind", "load"), pytest.raises(OpsError, match=r"kind load image-archive .* failed"):
        desk.churn("cluster", "up")
    assert desk.settings("churn:images") == before
    assert desk.called("pulumi") == []


def change(path: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text("changed\n")


def make_executable(root: Path) -> None:
    (root / "ops" / "code.py").chmod(0o755)


def rename(root: Path) -> None:
    (root / "ops" / "code.py").rename(root / "ops" / "other.py")


@pytest.mark.parametrize(
    ("edit", "same"),
    [
        *((change(name), False) for name in ("Dockerfile", ".dockerignore", "requirements/api.lock")),
        *((change(f"{name}/new.py"), False) for name in ("app", "ops", "training")),
        (rename, False),
        (make_executable, False),
        (change("Pulumi.dev.yaml"), True),
        (change("README.md"), True),
        (change("requirements/dev.lock"), True),
    ],
)
def test_it_changes_with_what_the_images_are_built_from(
    desk: Desk, edit: Callable[[Path], object], *, same: bool
) -> None:
    before = content.tag(desk.root)
    edit(desk.root)
    assert (content.tag(desk.root) == before) is same


def test_compiled_modules_do_not_count_and_neither_does_the_folder(desk: Desk, tmp_path: Path) -> None:
    before = content.tag(desk.root)
    cache = desk.root / "app" / "__pycache__"
    cache.mkdir()
    (cache / "code.pyc").write_bytes(b"x")
    assert content.tag(desk.root.rename(tmp_path / "moved")) == before


def test_it_is_a_tag_and_starts_with_the_version() -> None:
    tag = content.tag(ROOT)
    assert tag.startswith(f"{__version__}-")
    assert TypeAdapter(Tag).validate_python(tag) == tag


def test_every_source_of_the_dockerfile_is_one_that_builds_are_sent() -> None:
    sources = content.sources(ROOT)
    assert {"app", "ops", "training", *(f"requirements/{name}.lock" for name in OWN)} < set(sources)
    assert all((ROOT / name).exists() for name in sources)


def test_a_revision_is_dirty_by_what_goes_into_the_images_alone(desk: Desk) -> None:
    """`up` itself writes into the stack's configuration."""

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", str(desk.root), *who, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert content.revision(desk.root) == "unknown"
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=first")
    commit = git("rev-parse", "HEAD")
    set_values(desk.root / "Pulumi.dev.yaml", {("churn:images", "tag"): "another"})
    assert content.revision(desk.root) == commit
    (desk.root / "app" / "new.py").write_text("")
    assert content.revision(desk.root) == f"{commit}-dirty"


# ------------------------------------------------------------------ values in the stack's file

ON_ONE_LINE = 'config:\n  churn:images: { registry: a, tag: "1" }  # ours\n  other: x\n'
ON_LINES = "config:\n  churn:images:\n    registry: a # not a tag: x\n    tag: 1.0\n  other: x\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ON_ONE_LINE, 'config:\n  churn:images: { registry: "b/c", tag: "1e5" }  # ours\n  other: x\n'),
        (ON_LINES, 'config:\n  churn:images:\n    registry: "b/c" # not a tag: x\n    tag: "1e5"\n  other: x\n'),
    ],
)
def test_a_value_is_changed_in_place_in_either_style(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(before)
    values = {("churn:images", "tag"): "1e5", ("churn:images", "registry"): "b/c"}
    set_values(path, values)
    assert path.read_text() == after


@pytest.mark.parametrize(
    "text", ["config: {}\n", "config:\n  churn:images: x\n", "[]\n", "config: {churn:images: {}}\n"]
)
def test_a_file_without_the_place_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(text)
    with pytest.raises(OpsError, match=r"Pulumi\.dev\.yaml has no value churn:images\.tag"):
        with_values(path, {("churn:images", "tag"): "x"})


def test_a_file_that_has_the_value_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(ON_LINES)
    set_values(path, {("churn:images", "registry"): "a"})
    assert path.read_text() == ON_LINES
