"""``churn score``: the model by folder, alias or number, and what is said of the customers."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.bundles import REFUSED, make_bundle
from support.commands import churn
from support.paths import ROOT

from app.bundle import MANIFEST, Registered, digest
from ops.cli import model_versions as versions
from training.generate import write
from training.truth import GeneratorConfig


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    write(GeneratorConfig(rows=400), tmp_path / "in.csv")


def test_another_population_is_a_warning_and_an_error_when_strict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "model")  # of customers that are drawn uniformly, unlike the generator's
    assert churn(monkeypatch, "score", "in.csv", "out.csv", "--model", "model", "--json") == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["model_version"].startswith("local-")
    assert "monthly_charges" in {difference["name"] for difference in result["differences"]}
    assert "Warning: these customers differ from those that the model was trained on" in shown.err
    assert "monthly_charges (a number of currency/month): " in shown.err
    assert churn(monkeypatch, "score", "in.csv", "strict.csv", "--model", "model", "--strict", "--json") == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert "another population" in error["message"]
    assert not (tmp_path / "strict.csv").exists()


def test_a_folder_called_like_a_version_is_named_with_a_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "3")
    assert churn(monkeypatch, "score", "in.csv", "out.csv", "--model", "./3") == 0
    assert churn(monkeypatch, "score", "in.csv", "out.parquet", "--model", "3") == 1
    assert "no answer from MLflow" in capsys.readouterr().err


def test_a_number_is_downloaded_and_its_digests_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = []

    def fetch(url: str, model_name: str, which: str, folder: Path) -> Registered:
        asked.append((url, model_name, which))
        make_bundle(folder)
        return Registered(
            version=which, manifest_sha256=digest(folder / MANIFEST).sha256, artifact_path="models/12/artifacts"
        )

    monkeypatch.setattr(versions, "fetch", fetch)
    assert churn(monkeypatch, "score", "in.csv", "out.parquet", "--model", "12") == 0
    assert asked == [("http://127.0.0.1:9", "churn", "12")]
    assert set(pd.read_parquet(tmp_path / "out.parquet")["model_version"]) == {"12"}
    assert "Wrote 400 scores of churn version 12 to out.parquet" in capsys.readouterr().out


@pytest.mark.parametrize(("registered", "message"), [("", "its gates refused it"), ("0" * 64, "override.json")])
def test_a_refused_version_is_scored_with_only_by_its_override(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], registered: str, message: str
) -> None:
    def fetch(_url: str, _model_name: str, which: str, folder: Path) -> Registered:
        make_bundle(folder, gates=[REFUSED])
        return Registered(
            version=which,
            manifest_sha256=digest(folder / MANIFEST).sha256,
            override_sha256=registered,
            artifact_path="models/12/artifacts",
        )

    monkeypatch.setattr(versions, "fetch", fetch)
    assert churn(monkeypatch, "score", "in.csv", "out.csv", "--model", "12") == 1
    assert message in capsys.readouterr().err


def test_a_folder_gets_parts_and_the_line_says_how_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "model")
    for name in ("a", "b"):
        write(GeneratorConfig(rows=50), tmp_path / f"parts/{name}.csv")
    assert churn(monkeypatch, "score", "parts", "out/", "--model", "model", "--format", "csv") == 0
    assert "Wrote 100 scores of churn version local-" in (line := capsys.readouterr().out)
    assert " to out/ in 2 parts: " in line
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_SUCCESS", "a.csv", "b.csv"]
    assert churn(monkeypatch, "score", "parts", "out/", "--model", "model") == 2
    assert "not empty (it holds _SUCCESS); name another folder, or replace it with --force" in capsys.readouterr().err
    assert churn(monkeypatch, "score", "parts", "out/", "--model", "model", "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parts"] == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_SUCCESS", "a.parquet", "b.parquet"]


def test_the_format_of_a_file_is_its_extension(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "model")
    assert churn(monkeypatch, "score", "in.csv", "out.csv", "--model", "model", "--format", "parquet") == 2
    assert "'parquet' is for the parts of a folder" in capsys.readouterr().err
    assert churn(monkeypatch, "score", "in.csv", "out.csv", "--model", "model", "--format", "csv") == 0


SLOW = """
import signal, sys, time
from ops.cli import main
from training.score import _Tally

add = _Tally.add

def slow(self, batch, answers):
    scored = add(self, batch, answers)
    print("scored", flush=True)
    time.sleep(60 if self.rows > 300 else 0)
    return scored

_Tally.add = slow
# As on a terminal, also where the tests themselves were started in the background, which ignores the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[1:] = ["score", "parts", sys.argv[1], "--model", "model"]
main.main()
"""


def own_process(tmp_path: Path, code: str, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CHURN_HOME": str(tmp_path / "home")}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.mark.parametrize("out", ["out.csv", "out.parquet", "out/"])
def test_ctrl_c_midway_leaves_nothing_and_says_so(tmp_path: Path, out: str) -> None:
    make_bundle(tmp_path / "model")
    for name in ("a", "b"):
        write(GeneratorConfig(rows=300), tmp_path / f"parts/{name}.csv")
    before = sorted(tmp_path.iterdir())
    with own_process(tmp_path, SLOW, out) as process:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == ["scored\n", "scored\n"]
        (temporary,) = set(tmp_path.iterdir()) - set(before)
        assert temporary.name.startswith(f".{out.rstrip('/')}.churn-")
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=30)
    assert (process.returncode, shown) == (130, f"Error: stopped before all was scored; {out} was not written\n")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("out", ["out.csv", "out.parquet", "out/"])
def test_a_disk_that_takes_no_more_midway_leaves_nothing(tmp_path: Path, out: str) -> None:
    """A real limit: the kernel refuses further writes in the middle of a part."""
    make_bundle(tmp_path / "model")
    write(GeneratorConfig(rows=100), tmp_path / "parts/a.csv")
    write(GeneratorConfig(rows=5000), tmp_path / "parts/b.csv")
    before = sorted(tmp_path.iterdir())
    with own_process(
        tmp_path,
        "import sys; from ops.cli.main import main; main()",
        *("score", "parts", out, "--model", "model", "--format", "csv" if out == "out.csv" else "parquet"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    ) as process:
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 2, shown
    assert f"{out.rstrip('/')}" in shown
    assert "it grows beyond the largest size a file may have here, it was not written" in shown
    assert sorted(tmp_path.iterdir()) == before
