"""Small real bundles, random valid customers and key files, from which tests of serving start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from support.contracts import small_bank_customers
from support.telco import FEATURE_NAMES, FEATURES, ID_COLUMN, blank_total, encode

from app.bundle import MANIFEST, GateResult, Manifest
from app.contract import Contract
from app.schemas import telco
from app.security import new_key
from training.config import BuiltIn, TrainConfig
from training.data import Dataset, load
from training.export import Facts, write_files, write_manifest
from training.fitting import Fitted, validate
from training.fitting import fit as fit_customers
from training.pipeline import fit, predict

PASSED = GateResult(name="skill", passed=True, detail="a bundle of the tests")
REFUSED = GateResult(name="skill", passed=False, detail="a bundle of the tests that must not be served")
TRAIN_ROWS = 1200
HOLDOUT_ROWS = 300
_TENURE_MONTHS_MAX = 72
_BLANK_SHARE = 0.1


def random_customer(rng: np.random.Generator) -> dict[str, Any]:
    """A customer that :data:`support.telco.Customer` accepts; one in ten has a blank total."""
    row: dict[str, Any] = {ID_COLUMN: f"c-{rng.integers(10**9)}"}
    for feature in FEATURES:
        if feature.is_category:
            row[feature.name] = feature.categories[rng.integers(len(feature.categories))]
    row["senior_citizen"] = int(rng.random() < 0.16)  # the share in IBM's data
    row["tenure_months"] = int(rng.integers(_TENURE_MONTHS_MAX + 1))
    row["monthly_charges"] = round(float(rng.uniform(18, 118)), 2)
    row["total_charges"] = None if rng.random() < _BLANK_SHARE else round(float(rng.uniform(0, 8000)), 2)
    return row


def random_customers(n: int, seed: int) -> list[dict[str, Any]]:
    """``n`` customers, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [random_customer(rng) for _ in range(n)]


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=list(FEATURE_NAMES))
    assumed = [blank_total(r["tenure_months"], r["monthly_charges"]) for r in rows]
    frame["total_charges"] = frame["total_charges"].astype(float).fillna(pd.Series(assumed))
    return frame


def make_bundle(
    folder: Path,
    *,
    seed: int = 0,
    threshold: float = 0.3,
    model_type: BuiltIn = "logistic_regression",
    gates: list[GateResult] | None = None,
) -> Manifest:
    """Fit a small model and write its bundle with the project's own exporter.

    Its one gate passed, unless ``gates`` says otherwise. Bundles with different seeds score the same customer
    differently, by far more than rounding.
    """
    rows = random_customers(TRAIN_ROWS + HOLDOUT_ROWS, seed)
    codes = encode(rows)
    rng = np.random.default_rng(seed + 1)
    weights = rng.normal(0, 0.5, len(FEATURES))
    standardised = (codes - codes.mean(axis=0)) / codes.std(axis=0)
    probability = 1 / (1 + np.exp(-(standardised @ weights - 1)))
    churned = (rng.random(len(rows)) < probability).astype(np.int8)
    train, holdout = _frame(rows[:TRAIN_ROWS]), _frame(rows[TRAIN_ROWS:])
    model = fit(model_type, telco(), train, churned[:TRAIN_ROWS], seed=seed, calibration_folds=2)
    facts = Facts(
        contract=telco(),
        medians={},
        model_name="churn",
        model_type=model_type,
        run_id=f"{seed:032x}",
        git_revision=None,
        dataset_sha256=f"{seed:064x}",
        threshold=threshold,
        metrics={"auc": 0.8},
    )
    write_files(
        folder,
        model,
        facts,
        train=codes[:TRAIN_ROWS],
        everyone=codes,
        holdout=holdout,
        holdout_scores=predict(model, holdout),
    )
    write_manifest(folder, facts, [PASSED] if gates is None else gates)
    return Manifest.model_validate_json((folder / MANIFEST).read_bytes())


def write_keys(
    path: Path, scopes: Mapping[str, Sequence[str]], *, rates: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write a key file with one new key for each id, and return the keys by id."""
    keys: dict[str, str] = {}
    entries: list[dict[str, Any]] = []
    for key_id, granted in scopes.items():
        keys[key_id], digest = new_key(key_id)
        entry: dict[str, Any] = {"id": key_id, "sha256": [digest], "scopes": list(granted)}
        entries.append(entry | ({"rate_limit": rates[key_id]} if rates and key_id in rates else {}))
    path.write_text(json.dumps({"keys": entries}), encoding="utf-8")
    return keys


def make_bank_bundle(folder: Path, contract: Contract, seed: int = 0) -> Manifest:
    """Train on made-up customers of :func:`support.contracts.small_bank` and write the bundle.

    ``contract`` is that one or a relative with the same features.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    source = folder.with_name(f"{folder.name}.csv")
    small_bank_customers(800, seed).to_csv(source, index=False)
    return make_contract_bundle(folder, contract, source, seed)


@dataclass(frozen=True)
class Trained:
    """A model fitted to a file of customers of any contract, with what its bundle says."""

    config: TrainConfig
    data: Dataset
    fitted: Fitted
    facts: Facts

    def write(self, folder: Path) -> Manifest:
        """Write the bundle, whose one gate passed."""
        folder.mkdir(parents=True, exist_ok=True)
        fitted, test = self.fitted, self.fitted.split.test
        write_files(
            folder,
            fitted.model,
            self.facts,
            train=fitted.features[fitted.split.train],
            everyone=fitted.features,
            holdout=fitted.customers.iloc[test],
            holdout_scores=fitted.scores[test],
        )
        write_manifest(folder, self.facts, [PASSED])
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())


def fit_contract(
    contract: Contract,
    source: Path,
    *,
    model: BuiltIn = "logistic_regression",
    estimator: str | None = None,
    seed: int = 0,
) -> Trained:
    """Train the model ``bank`` on a file of customers of any contract; ``estimator`` as of ``churn train``."""
    config = TrainConfig(
        source=str(source),
        contract=contract,
        model=model,
        estimator=estimator,
        cv_folds=2,
        calibration_folds=2,
        tracking_uri="http://127.0.0.1:1",
    )
    data = load(str(source), contract)
    fitted = fit_customers(config, data, validate(data), lambda *_: None)
    facts = Facts(
        contract=contract,
        medians=fitted.medians,
        model_name="bank",
        model_type=fitted.model_type,
        run_id=f"{seed:032x}",
        git_revision=None,
        dataset_sha256=data.sha256,
        threshold=config.cost.threshold,
        metrics={"auc": 0.8},
    )
    return Trained(config, data, fitted, facts)


def make_contract_bundle(folder: Path, contract: Contract, source: Path, seed: int = 0) -> Manifest:
    """Train on a file of customers of any contract and write the bundle of the model ``bank``."""
    return fit_contract(contract, source, seed=seed).write(folder)
