"""Bundles of format 1, from before contracts: they load, and score the built-in customers as they always did."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import random_customers
from support.damage import edit_json

from app.bundle import MANIFEST, BundleError
from app.model import load
from app.schemas import telco


def _aged(manifest: dict[str, Any]) -> None:
    for key in ("contract", "contract_sha256", "medians"):
        del manifest[key]
    manifest |= {"format": 1, "schema_version": 1}


@pytest.fixture
def old(bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    shutil.copytree(bundle, folder)
    edit_json(folder / MANIFEST, _aged)
    return folder


def test_a_bundle_of_format_1_is_one_of_the_built_in_customers(old: Path, bundle: Path) -> None:
    before, now = load(old), load(bundle)
    assert before.contract == telco()
    rows = random_customers(500, seed=8)
    assert np.array_equal(before.score(before.coder.many(rows)), now.score(now.coder.many(rows)))


@pytest.mark.parametrize("version", [0, 2, None])
def test_another_schema_of_format_1_is_refused(old: Path, version: int | None) -> None:
    edit_json(old / MANIFEST, lambda manifest: manifest.update(schema_version=version))
    with pytest.raises(BundleError, match="made for customer schema"):
        load(old)


@pytest.mark.parametrize("change", [{"contract_sha256": "a" * 64}, {"contract": None}, {"medians": {"gender": 1.0}}])
def test_a_contract_that_is_not_the_named_one_is_refused(bundle: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(bundle, folder)
    edit_json(folder / MANIFEST, lambda manifest: manifest.update(change))
    with pytest.raises(BundleError, match=r"contract_sha256|medians"):
        load(folder)
