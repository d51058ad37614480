"""The drill loads every restored version, and fails for one in production that the API would refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.bundles import REFUSED, make_bundle
from support.damage import cut, edit_json
from support.overrides import override

from app.bundle import ARTIFACT_FOLDER, MANIFEST, MAX_OVERRIDE_BYTES, MODEL, OVERRIDE, sha256
from ops.backup.drill_models import prove
from ops.backup.manifest import Version
from ops.errors import OpsError

PLACE = "1/models/m-1/artifacts"
BY_ITS_GATES = f"its gates refused it: {REFUSED.name}: {REFUSED.detail}"


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("passed")
    make_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    make_bundle(folder, seed=3, gates=[REFUSED])
    return folder


def _restore(bundle: Path, artifacts: Path) -> Path:
    """Put a bundle where a restore leaves it."""
    return shutil.copytree(bundle, artifacts / PLACE / ARTIFACT_FOLDER)


def _version(served: Path, *aliases: str) -> Version:
    return Version(
        model="churn",
        version=1,
        aliases=list(aliases),
        location=f"mlflow-artifacts:/{PLACE}",
        manifest_sha256=sha256((served / MANIFEST).read_bytes()),
    )


def test_a_version_that_passed_is_proven(passed: Path, tmp_path: Path) -> None:
    (proof,) = prove([_version(_restore(passed, tmp_path), "production")], tmp_path)
    assert (proof.loaded, proof.refusal) == (True, None)
    assert proof.words.startswith("churn version 1 (production): loaded, ")
    assert "served" not in proof.words


def test_a_refused_version_in_production_fails_the_drill(refused: Path, tmp_path: Path) -> None:
    version = _version(_restore(refused, tmp_path), "production")
    with pytest.raises(OpsError, match=f"model churn version 1: it is in production and must not .*: {BY_ITS_GATES}"):
        prove([version], tmp_path)


def test_every_model_is_proven_and_the_one_that_is_not_whole_is_named(passed: Path, tmp_path: Path) -> None:
    """Two models may have versions of the same number; each is loaded from its own place."""
    usual = _version(_restore(passed, tmp_path), "production")
    place = "2/models/m-2/artifacts"
    other = shutil.copytree(passed, tmp_path / place / ARTIFACT_FOLDER)
    bank = _version(other, "production").model_copy(update={"model": "bank", "location": f"mlflow-artifacts:/{place}"})
    assert [(proof.model, proof.version, proof.loaded) for proof in prove([usual, bank], tmp_path)] == [
        ("churn", 1, True),
        ("bank", 1, True),
    ]
    (other / MODEL).unlink()
    with pytest.raises(OpsError) as failed:
        prove([usual, bank], tmp_path)
    assert str(failed.value).startswith("model bank version 1: ")
    assert "churn" not in str(failed.value)


def test_a_version_without_a_verdict_in_production_fails_the_drill(passed: Path, tmp_path: Path) -> None:
    served = _restore(passed, tmp_path)
    edit_json(served / MANIFEST, lambda manifest: manifest.pop("gates"))
    with pytest.raises(OpsError, match="must not be served: its manifest records no verdict of its gates"):
        prove([_version(served, "production")], tmp_path)


def test_an_overridden_version_in_production_is_proven(refused: Path, tmp_path: Path) -> None:
    served = _restore(refused, tmp_path)
    override(served, [REFUSED.name])
    (proof,) = prove([_version(served, "production")], tmp_path)
    assert (proof.loaded, proof.refusal) == (True, None)


@pytest.mark.parametrize("spoilt", ["another manifest", "other gates", "too large"])
def test_an_override_that_does_not_hold_fails_the_drill(refused: Path, tmp_path: Path, spoilt: str) -> None:
    served = _restore(refused, tmp_path)
    gates = ["another"] if spoilt == "other gates" else [REFUSED.name]
    override(served, gates, manifest_sha256="0" * 64 if spoilt == "another manifest" else None)
    if spoilt == "too large":
        (served / OVERRIDE).write_bytes((served / OVERRIDE).read_bytes() + b" " * MAX_OVERRIDE_BYTES)
    with pytest.raises(OpsError, match=r"must not be served: override\.json: "):
        prove([_version(served, "production")], tmp_path)


@pytest.mark.parametrize(
    ("aliases", "meaning"),
    [(["previous"], "a rollback to it would be refused"), ([], "it would not be served")],
)
def test_a_refused_version_elsewhere_is_loaded_and_reported(
    refused: Path, tmp_path: Path, aliases: list[str], meaning: str
) -> None:
    (proof,) = prove([_version(_restore(refused, tmp_path), *aliases)], tmp_path)
    assert proof.loaded
    assert proof.golden_rows > 0
    assert f"; {meaning}: {BY_ITS_GATES}" in proof.words


def test_a_refused_version_is_still_checked_for_damage(refused: Path, tmp_path: Path) -> None:
    served = _restore(refused, tmp_path)
    version = _version(served)
    cut(served / MODEL)
    with pytest.raises(OpsError, match=r"model\.onnx: "):
        prove([version], tmp_path)
