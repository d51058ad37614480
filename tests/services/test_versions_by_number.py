"""A version by its number, from a real MLflow: the same checks as by an alias, and words about what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.commands import churn
from support.registered import Registered
from support.servers import Mlflow

from app.bundle import GOLDEN, MANIFEST, BundleError
from app.names import MODEL_NAME
from ops.cli import model_versions as versions
from ops.errors import OpsError
from training.generate import write
from training.truth import GeneratorConfig

pytestmark = [pytest.mark.service, pytest.mark.long(seconds=30, together=__name__)]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        with pytest.raises(OpsError, match="has no version or alias '1' in MLflow; there is none yet: train one"):
            versions.require(server.url, MODEL_NAME, "1")
        yield server.url


@pytest.fixture(scope="module")
def filled(empty: str, bundles: list[Path]) -> Registered:
    """Versions 1 and 2, of which 1 is in production."""
    model = Registered(empty, MODEL_NAME)
    first, _ = model.publish(bundles[0]), model.publish(bundles[1])
    model.point(first)
    return model


def test_a_version_is_scored_with_by_its_number(
    filled: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(GeneratorConfig(rows=100), tmp_path / "in.csv")
    frames = {}
    for which in ("1", "2", "production"):
        out = tmp_path / f"{which}.parquet"
        assert churn(
            monkeypatch, "score", str(tmp_path / "in.csv"), str(out), "--model", which, "--tracking-uri", filled.url
        ) == 0  # fmt: skip
        frames[which] = pd.read_parquet(out)
    assert set(frames["2"]["model_version"]) == {"2"}
    assert frames["1"].drop(columns="scored_at").equals(frames["production"].drop(columns="scored_at"))
    assert not frames["1"]["churn_probability"].equals(frames["2"]["churn_probability"])


@pytest.mark.parametrize("which", ["9", "staging"])
def test_what_is_not_there_is_answered_with_what_is(
    filled: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    write(GeneratorConfig(rows=100), tmp_path / "in.csv")
    command = (str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), "--model", which, "--tracking-uri", filled.url)
    assert churn(monkeypatch, "score", *command, "--json") == 2
    known = f"'churn' has no version or alias '{which}' in MLflow; there are versions 2, 1, 'production' is version 1"
    assert json.loads(capsys.readouterr().out)["error"]["message"] == known
    assert not (tmp_path / "out.csv").exists()


def test_promotion_of_a_version_that_is_not_there_says_what_is(
    filled: Registered, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert churn(monkeypatch, "promote", "--version", "7", "--tracking-uri", filled.url) == 2
    assert "has no version or alias '7' in MLflow; there are versions 2, 1" in capsys.readouterr().err


def test_a_damaged_version_is_refused_by_its_number_too(
    filled: Registered, bundles: list[Path], tmp_path: Path
) -> None:
    version = filled.publish(bundles[2])
    version.write(GOLDEN, b"{}")
    with pytest.raises(BundleError, match=GOLDEN):
        versions.fetch(filled.url, MODEL_NAME, version.number, tmp_path)
    assert (tmp_path / MANIFEST).exists()
