"""``churn dashboards``: files for import by hand, which somebody may have edited since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dashboards
from ops.cli import main as cli
from ops.stack import dashboard_preview
from training.files import PathError


def churn(*arguments: str) -> Exception | None:
    result = CliRunner().invoke(cli.app, ["dashboards", *arguments])
    error = result.exception
    return error if isinstance(error, Exception) else None


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_every_dashboard_is_a_file_and_the_command_may_be_repeated(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    assert churn("write", "--out", str(out)) is None
    first = contents(out)
    assert {name.removesuffix(".json") for name in first} == set(dashboards.every())
    assert all(json.loads(text)["title"] for text in first.values())
    assert churn("write", "--out", str(out)) is None
    assert contents(out) == first


def test_an_edited_file_is_replaced_only_with_force_and_until_then_nothing_is(tmp_path: Path) -> None:
    assert churn("write", "--out", str(tmp_path)) is None
    written = contents(tmp_path)
    *others, edited = sorted(tmp_path.iterdir())
    edited.write_text("{}")
    others[0].unlink()
    error = churn("write", "--out", str(tmp_path))
    assert isinstance(error, PathError)
    assert f"{edited}: it exists already" in str(error)
    assert edited.read_text() == "{}"
    assert not others[0].exists()
    assert churn("write", "--out", str(tmp_path), "--force") is None
    assert contents(tmp_path) == written


def test_pictures_are_replaced_only_with_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_preview, "draw", lambda _page, _queries, path: path.write_text("new"))
    (name, *_) = dashboards.every()
    old = tmp_path / f"{name.removeprefix('churn-')}.png"
    old.write_text("old")
    error = churn("preview", "--out", str(tmp_path))
    assert isinstance(error, PathError)
    assert contents(tmp_path) == {old.name: "old"}
    assert churn("preview", "--out", str(tmp_path), "--force") is None
    assert set(contents(tmp_path).values()) == {"new"}
    assert len(contents(tmp_path)) == len(dashboards.every())


@pytest.mark.parametrize("command", ["write", "preview"])
def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    assert "is a file, not a folder" in str(churn(command, "--out", str(tmp_path / "file")))
