"""Text files of a small contract, as other programs write them, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.contract import Contract, Key, Reading
from app.feature import Constant, Feature
from training.data import DataError
from training.validate import checked_batches
from training.violations import Findings

CONTRACT = Contract(
    contract=1,
    name="texts",
    key=Key(name="id", letters="unicode", symbols="_.-@+"),
    features=(
        Feature(name="city", type="category", categories=("Köln", "Málaga", "Ruda Śl", "Oslo")),
        Feature(name="region", type="category", categories=("NA", "EU"), blank=Constant(constant="EU")),
        Feature(name="visits", type="integer", minimum=0, maximum=5000),
        Feature(name="balance", type="number", minimum=-1e6, maximum=1e6, blank=Constant(constant=0.0)),
        Feature(name="active", type="boolean"),
    ),
    example={"city": "Oslo", "region": "EU", "visits": 1, "balance": 1.5, "active": True},
)
HEADER = "id,city,region,visits,balance,active"


def read(
    path: Path, reading: Reading | None = None, contract: Contract = CONTRACT
) -> tuple[list[tuple[Any, ...]], tuple[str, ...]]:
    """The rows, and the notes."""
    findings = Findings(contract)
    rows: list[tuple[Any, ...]] = []
    for batch in checked_batches(path, contract, findings, labelled=False, reading=reading):
        ids = batch.ids.to_pylist() if batch.ids is not None else [None] * batch.rows
        rows += zip(ids, *(batch.columns[name].tolist() for name in contract.names), strict=True)
    findings.raise_if_any(str(path))
    return rows, findings.notes


def refused(path: Path, reading: Reading | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read(path, reading)
    return str(caught.value)


def file(tmp_path: Path, *rows: str, encoding: str = "utf-8", header: str = HEADER, end: str = "\n") -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes((end.join((header, *rows)) + end).encode(encoding))
    return path
