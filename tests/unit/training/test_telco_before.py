"""Telco customers are coded and scored as before contracts: by bundles, codes and scores of the revision before."""

from __future__ import annotations

import csv
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from support import telco_before as before

from app.coding import Coder
from app.contract import Features
from app.model import Model, load
from app.parsing import Parser
from app.schemas import telco
from training.score import ModelFolder, score

KINDS = ("logistic_regression", "gradient_boosting")
PORTABLE = 1e-6
"""Processors sum in different orders: the scores of a run are those recorded to the bit only on the same kind."""


@cache
def customers() -> list[dict[str, Any]]:
    return before.customers()


@cache
def coded() -> Features:
    return Coder(telco(), {}).many(customers())


def model(kind: str) -> Model:
    """A model of format 1 that was trained and written by the revision before."""
    return load(before.FOLDER / kind)


def recorded(kind: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    scores: np.ndarray[Any, np.dtype[np.float32]] = np.load(before.FOLDER / kind / "scores.npy")
    return scores


def test_ten_thousand_customers_are_coded_to_the_bit_as_before() -> None:
    assert coded().shape == (before.ROWS, 19)
    assert hashlib.sha256(coded().astype("<f4").tobytes()).hexdigest() == before.CODED_SHA256


def test_requests_are_coded_to_the_bit_as_before() -> None:
    parser, coder = Parser(telco(), 1000), Coder(telco(), {})
    alone = [coder.one(parser.one(json.dumps(customer).encode())) for customer in customers()[:1000]]
    assert np.array(alone, dtype=np.float32).tobytes() == coded()[:1000].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_customers_get_the_scores_of_before(kind: str) -> None:
    scores = model(kind).score(coded())
    np.testing.assert_allclose(scores, recorded(kind), rtol=0, atol=PORTABLE)
    assert np.ptp(scores) > 0.8, "scores over the whole range"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_them_gets_the_scores_of_before(kind: str, tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(customers()[0]))
        writer.writeheader()
        writer.writerows(customers())
    score(ModelFolder(before.FOLDER / kind), str(tmp_path / "in.csv"), tmp_path / "out.parquet")
    scores = pq.read_table(tmp_path / "out.parquet")
    assert scores["customer_id"].to_pylist() == [customer["customer_id"] for customer in customers()]
    np.testing.assert_allclose(scores["churn_probability"], recorded(kind), rtol=0, atol=PORTABLE)
