"""Made-up customers of any contract are valid by it, repeatable, and can be learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from support.contracts import contracts
from support.paths import ROOT

from app.coding import Coder
from app.contract import Contract
from app.customers import customer_model
from training.contract_file import read
from training.contract_rows import CHUNK, RowsConfig, batches, write
from training.files import PathError

BANK = read(ROOT / "contracts" / "bank.yaml")


def customers(contract: Contract, config: RowsConfig) -> list[dict[str, Any]]:
    return [row for batch in batches(contract, config) for row in batch.to_pylist()]


@settings(max_examples=25, deadline=None)
@given(contracts(), st.integers(0, 9))
def test_every_row_is_valid_by_its_contract(contract: Contract, seed: int) -> None:
    model = customer_model(contract)
    for row in customers(contract, RowsConfig(rows=50, seed=seed, blank_share=0.2)):
        assert row.pop("churned") in {0, 1}
        model.model_validate_json(json.dumps(row))


@pytest.mark.parametrize("name", ["bank", "telco"])
def test_the_churn_of_the_shipped_contracts_can_be_learnt(name: str) -> None:
    contract = read(ROOT / "contracts" / f"{name}.yaml")
    rows = customers(contract, RowsConfig(rows=6000))
    churned = np.array([row["churned"] for row in rows])
    features = Coder(contract, {f.name: 0.0 for f in contract.features}).many(rows)
    for at, feature in enumerate(contract.features):
        assert len(np.unique(features[:, at])) >= 2, feature.name
    half = len(rows) // 2
    spread = (features - features.mean(axis=0)) / features.std(axis=0)
    model = LogisticRegression(max_iter=500).fit(spread[:half], churned[:half])
    assert 0.7 < roc_auc_score(churned[half:], model.predict_proba(spread[half:])[:, 1]) < 0.9
    assert 0.2 < churned.mean() < 0.32


def test_blanks_are_only_where_they_may_be() -> None:
    rows = pd.DataFrame(customers(BANK, RowsConfig(rows=2000, blank_share=0.1)))
    blanks = rows.isna().mean()
    assert blanks.pop("estimated_salary") == pytest.approx(0.1, abs=0.03)
    assert blanks.max() == 0


def test_keys_are_unique_and_as_long_as_they_may_be() -> None:
    for length in (64, 9, 8, 3):
        contract = Contract.model_validate_json(
            json.dumps(json.loads(BANK.canonical) | {"key": {"max_length": length}, "example": dict(BANK.example) | {}})
            .replace("B00000001", "B1")
        )  # fmt: skip
        keys = [row["customer_id"] for row in customers(contract, RowsConfig(rows=2000))]
        assert len(set(keys)) == 2000
        assert max(map(len, keys)) <= length


def test_a_file_is_repeatable_and_another_seed_is_another_file(tmp_path: Path) -> None:
    for name, seed in [("a.csv", 1), ("b.csv", 1), ("c.csv", 2)]:
        write(BANK, RowsConfig(rows=300, seed=seed), str(tmp_path / name))
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.csv", "b.csv", "c.csv"))
    assert a == b
    assert a != c
    assert len(a.splitlines()) == 300 + 1
    assert a.splitlines()[0] == ",".join(["customer_id", *BANK.names, "churned"]).encode()


def test_a_long_file_has_all_its_rows_once(tmp_path: Path) -> None:
    path, seen = tmp_path / "long.parquet", list[int]()
    churned = write(BANK, RowsConfig(rows=CHUNK + 7), str(path), on_progress=seen.append)
    table = pd.read_parquet(path)
    assert seen == [CHUNK, CHUNK + 7]
    assert len(table) == CHUNK + 7 == table["customer_id"].nunique()
    assert table["churned"].sum() == churned


def test_the_day_of_a_row_is_a_date() -> None:
    contract = Contract.model_validate_json(json.dumps(json.loads(BANK.canonical) | {"as_of": "Stichtag"}))
    days = pd.to_datetime([row["Stichtag"] for row in customers(contract, RowsConfig(rows=50))], format="%Y-%m-%d")
    assert days.nunique() > 10


def test_a_category_with_a_comma_is_quoted(tmp_path: Path) -> None:
    text = BANK.canonical.decode().replace("Germany", "Germany, west")
    write(Contract.model_validate_json(text), RowsConfig(rows=200), str(tmp_path / "a.csv"))
    assert set(pd.read_csv(tmp_path / "a.csv")["country"]) == {"France", "Germany, west", "Spain"}


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(PathError, match="exists already"):
        write(BANK, RowsConfig(rows=3), str(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_text() == "mine"
