"""Reads golden rows: customers as a client would send them, each with the score where the model was trained.

They are all that proves that a graph from elsewhere is read as it was meant: the order of the features, the codes of
the categories, what a blank counts as, and which column is the probability of churn.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from app.bundle import GateResult, Golden, GoldenRow
from app.coding import Coder
from app.contract import Contract
from app.customers import row_type
from training import gates
from training.config import GateLimits
from training.export import onnx_scores
from training.foreign_error import ForeignModelError
from training.values import FLAGS

ROWS_MIN: Final = 20
"""With fewer, a wrong code of a rare category could go unnoticed."""
ROWS_MAX: Final = 1000
SCORE: Final = "score"
_BYTES_MAX: Final = 16 * 1024**2
_FLAGS: Final[Mapping[str, bool]] = {text: bool(value) for text, value in FLAGS.items()} | {"0": False, "1": True}
_REMEDY: Final = (
    "write a customer's features and a score in each line, as JSON or as CSV with a header (docs/registering.md)"
)


class ParityError(Exception):
    """A graph that does not give the golden scores: nothing is registered, since no such version could be loaded."""

    def __init__(self, result: GateResult) -> None:
        super().__init__(
            f"nothing is registered, refused by gate parity: {result.detail}. Compare the order of the features, the "
            "codes of the categories and what a blank counts as with the contract's (docs/registering.md)"
        )


def read_golden(path: Path, contract: Contract) -> Golden:
    """Read a file of golden rows, JSON or CSV by its content.

    Args:
        path: an array or lines of JSON objects, or CSV with commas in UTF-8. The features have the contract's names,
            beside ``score``; the key, the label and columns that the contract ignores may be there and are left out.
        contract: what the customers look like.

    Raises:
        ForeignModelError: it cannot be read, a row is no valid customer or has no score, or there are too few or too
            many.
    """
    rows = [_row(path, number, row, contract) for number, row in enumerate(_objects(path, contract), start=1)]
    if not ROWS_MIN <= len(rows) <= ROWS_MAX:
        raise ForeignModelError(
            path,
            f"has {len(rows):,} golden rows",
            f"give {ROWS_MIN} to {ROWS_MAX:,} that cover every category and blank",
        )
    customers = TypeAdapter[Any](row_type(contract))
    for number, row in enumerate(rows, start=1):
        try:
            customers.validate_python(row.customer)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise ForeignModelError(
                path,
                f"row {number} is no valid customer of contract {contract.name!r} ({where}: {first['msg']})",
                _REMEDY,
            ) from error
    return Golden(rows=rows)


def parity(
    graph: bytes, golden: Golden, contract: Contract, medians: Mapping[str, float], limits: GateLimits
) -> GateResult:
    """The verdict of the parity gate on a graph without a native twin: its scores of the golden rows."""
    customers = TypeAdapter[Any](row_type(contract))
    rows = [customers.validate_python(row.customer) for row in golden.rows]
    scores = onnx_scores(graph, Coder(contract, medians).many(rows))
    right = np.array([row.score for row in golden.rows])
    return gates.parity(right, scores, limits, origin="golden", rows="golden rows")


def _objects(path: Path, contract: Contract) -> Iterator[dict[str, Any]]:
    """The rows as they are written, with values as in JSON."""
    text = _text(path)
    if text[:1] not in {"{", "["}:
        yield from _from_csv(path, text, contract)
        return
    try:
        document = json.loads(text)
    except ValueError:
        document = [
            _parsed(path, number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()
        ]
    if isinstance(document, dict):
        document = document.get("rows", [document])
    if not isinstance(document, list):
        raise ForeignModelError(path, "holds no rows", _REMEDY)
    for number, row in enumerate(document, start=1):
        if not isinstance(row, dict):
            raise ForeignModelError(path, f"row {number} is no JSON object", _REMEDY)
        nested = row.get("customer")
        yield {**nested, SCORE: row.get(SCORE)} if isinstance(nested, dict) else row


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
        text = data.decode("utf-8-sig").strip()
    except OSError as error:
        raise ForeignModelError(path, f"cannot be read ({error.strerror})", "name the file with --golden") from error
    except UnicodeDecodeError as error:
        raise ForeignModelError(path, f"is no text in UTF-8 (byte {error.start})", _REMEDY) from error
    if len(data) > _BYTES_MAX:
        raise ForeignModelError(path, f"is larger than {_BYTES_MAX // 1024**2} MiB", f"give at most {ROWS_MAX:,} rows")
    return text


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ForeignModelError(path, f"line {number} is no JSON ({error})", _REMEDY) from error


def _from_csv(path: Path, text: str, contract: Contract) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        for number, cells in enumerate(reader, start=1):
            if None in cells or None in cells.values():
                raise ForeignModelError(path, f"row {number} has not as many cells as the header", _REMEDY)
            yield {name: _value(path, number, name, cell.strip(), contract) for name, cell in cells.items()}
    except csv.Error as error:
        raise ForeignModelError(path, f"is no CSV ({error})", _REMEDY) from error


def _value(path: Path, number: int, name: str, text: str, contract: Contract) -> Any:
    """A cell as JSON would have it; one that cannot be read stays a text, which the contract refuses."""
    feature = contract.by_name.get(name)
    if name != SCORE and feature is None:
        return text
    if not text:
        return None
    if feature is not None and feature.is_category:
        return text
    if feature is not None and feature.type == "boolean":
        return _FLAGS.get(text.lower(), text)
    try:
        return float(text)
    except ValueError as error:
        raise ForeignModelError(
            path, f"row {number}: {name} is {text!r}", "write a number with a decimal point"
        ) from error


def _row(path: Path, number: int, row: dict[str, Any], contract: Contract) -> GoldenRow:
    known = {contract.key.name, contract.label.name, contract.as_of, *contract.ignored, *contract.leaks}
    score = row.get(SCORE)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise ForeignModelError(
            path,
            f"row {number} has the score {score!r}",
            "give each row a 'score' from 0 to 1, the probability of churn",
        )
    customer = {name: value for name, value in row.items() if name != SCORE and name not in known}
    try:
        return GoldenRow(customer=customer, score=score)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"][1:2])
        raise ForeignModelError(path, f"row {number}: {where}: {first['msg']}", _REMEDY) from error
