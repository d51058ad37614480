"""Golden rows of a model from elsewhere: how they may be written, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import foreign_models as models

from app.bundle import write_json
from training.contract_file import read
from training.foreign_error import ForeignModelError
from training.foreign_golden import read_golden

BANK = read(models.BANK)
CUSTOMER = {name: value for name, value in BANK.customer.items() if name != BANK.key.name}
ROWS = [CUSTOMER | {"age": 20 + i, "score": i / 100} for i in range(25)]


def write(folder: Path, rows: Any, name: str = "golden.json") -> Path:
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8")
    return path


def refusal(folder: Path, rows: Any) -> str:
    with pytest.raises(ForeignModelError) as caught:
        read_golden(write(folder, rows), BANK)
    return str(caught.value)


def test_every_way_to_write_them_gives_the_same(tmp_path: Path, bank: models.Elsewhere) -> None:
    scores = np.linspace(0, 1, 60)
    lines = bank.write_golden(tmp_path / "golden.jsonl", scores)
    golden = read_golden(lines, BANK)
    assert len(golden.rows) == 60
    assert any(row.customer["estimated_salary"] is None for row in golden.rows)
    assert {type(row.customer["is_active"]) for row in golden.rows} == {bool}
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    nested = [{"customer": {k: v for k, v in row.items() if k != "score"}, "score": row["score"]} for row in records]
    write_json(tmp_path / "ours.json", golden)
    for path in (
        bank.write_golden(tmp_path / "golden.csv", scores),
        write(tmp_path, records, "array.json"),
        write(tmp_path, nested, "nested.json"),
        write(tmp_path, "\ufeff" + lines.read_text(), "bom.jsonl"),
        tmp_path / "ours.json",
    ):
        assert read_golden(path, BANK) == golden, path.name


def test_columns_that_are_no_features_are_left_out(tmp_path: Path) -> None:
    more = {"customer_id": "C1", "churned": 1, "RowNumber": 3, "Surname": "Ng", "Complain": 0}
    golden = read_golden(write(tmp_path, [row | more for row in ROWS]), BANK)
    assert all(row.customer.keys() == CUSTOMER.keys() for row in golden.rows)


def test_booleans_in_csv_may_be_written_as_in_files(tmp_path: Path) -> None:
    names = [*CUSTOMER, "score"]
    words = ("1", "TRUE", "yes", "0", "False", "n")
    lines = [",".join(map(str, (CUSTOMER | {"is_active": words[i % 6], "score": 0.5}).values())) for i in range(24)]
    golden = read_golden(write(tmp_path, "\n".join([",".join(names), *lines]), "golden.csv"), BANK)
    assert [row.customer["is_active"] for row in golden.rows[:6]] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS[:19], "has 19 golden rows: give 20 to 1,000"),
        (ROWS * 50, "has 1,250 golden rows: give 20 to 1,000"),
        ([], "has 0 golden rows"),
        ("", "has 0 golden rows"),
        ([*ROWS, CUSTOMER], "row 26 has the score None: give each row a 'score' from 0 to 1"),
        ([*ROWS, ROWS[0] | {"score": 1.5}], "row 26 has the score 1.5"),
        ([*ROWS, ROWS[0] | {"score": True}], "row 26 has the score True"),
        ([*ROWS, ROWS[0] | {"country": "Narnia"}], "row 26 is no valid customer of contract 'bank' (country: "),
        ([*ROWS, ROWS[0] | {"age": None}], "row 26 is no valid customer of contract 'bank' (age: "),
        ([*ROWS, ROWS[0] | {"shoe_size": 44}], "row 26 is no valid customer of contract 'bank' (shoe_size: "),
        ([*ROWS, ROWS[0] | {"age": [1]}], "row 26: age"),
        ([*ROWS, {k: v for k, v in ROWS[0].items() if k != "gender"}], "(gender: Field required)"),
        ([*ROWS, 5], "row 26 is no JSON object"),
        ('{"rows": 5}', "holds no rows"),
        ('{"score": 0.1}\nnonsense', "line 2 is no JSON"),
        ("age,score\n1\n", "row 1 has not as many cells as the header"),
        ("age,score\n1,2,3\n", "row 1 has not as many cells as the header"),
        ('age,score\n"1,2', "is no CSV"),
        ("age,score\nold,0.5\n", "row 1: age is 'old': write a number with a decimal point"),
        ('age,score\n40,"0,5"\n', "row 1: score is '0,5'"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_in_words(rows: Any, words: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, rows)
    assert message.startswith("golden.json ")
    assert words in message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    with pytest.raises(ForeignModelError, match="cannot be read"):
        read_golden(path, BANK)
    path.write_bytes(b"[\xff]")
    with pytest.raises(ForeignModelError, match="no text in UTF-8"):
        read_golden(path, BANK)
