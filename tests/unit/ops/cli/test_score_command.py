"""``churn score``: the model by folder, alias or number, and what is said of the customers."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from support.bundles import REFUSED, make_bundle
from support.commands import churn

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
