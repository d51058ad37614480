"""Production is compared with only if its model can score the candidate's customers."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from support.bundles import make_bundle
from support.contracts import small_bank, with_feature

from app.bundle import MANIFEST_TAG
from app.contract import Contract
from app.model import load
from app.schemas import telco
from training import compare
from training.compare import coded_alike
from training.config import GateLimits


def test_names_in_files_bounds_and_words_do_not_change_the_codes() -> None:
    assert coded_alike(
        telco(),
        with_feature(telco(), "total_charges", maximum=2_000_000.0, unit="EUR", description="x", aliases=("Bill",)),
    )


def tagged(version: str, tags: dict[str, str]) -> ModelVersion:
    return ModelVersion("churn", version, 0, tags=[ModelVersionTag(*tag) for tag in tags.items()])  # type: ignore[no-untyped-call]  # MLflow has no types here


@pytest.mark.parametrize(
    "other",
    [
        small_bank(),
        with_feature(telco(), "total_charges", blank={"constant": 1.0}),
        with_feature(telco(), "total_charges", blank="median"),
    ],
    ids=lambda c: str(c.name),
)
def test_other_features_and_other_blanks_change_the_codes(other: Contract) -> None:
    assert not coded_alike(telco(), other)


def test_production_of_another_contract_needs_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path)
    model = load(tmp_path)
    monkeypatch.setattr(compare, "fetch_model", lambda *_, **__: model)
    version = tagged("4", {MANIFEST_TAG: model.fingerprint.hex()})
    client = MlflowClient("http://127.0.0.1:1")
    assert compare.production(client, version, telco()) == compare.Production(
        version=version, model=model, contract=telco()
    )
    other = compare.production(client, version, small_bank())
    assert other is not None
    assert other.model is None
    gate = compare.gate(client, other, None, GateLimits())  # type: ignore[arg-type]  # not looked at
    assert gate.passed
    assert gate.needs == "--replace-schema"
    assert "version 4 in production was made for another contract, 'telco' and not 'small-bank'" in gate.detail


def test_a_version_of_an_old_release_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path)
    model = load(tmp_path)
    monkeypatch.setattr(compare, "fetch_model", lambda *_, **__: model)
    client = MlflowClient("http://127.0.0.1:1")
    tags = {MANIFEST_TAG: model.fingerprint.hex(), "schema_version": "1"}
    old = compare.production(client, tagged("4", tags), telco())
    newer = compare.production(client, tagged("5", tags | {"schema_version": "2"}), telco())
    assert old is not None
    assert newer is not None
    assert old.model is model
    assert newer.doubt == "was made for another customer schema"
