"""The text and the data of an error about a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from app.schemas import telco
from training import reading_csv
from training.causes import COLUMNS, GENERIC, NAMES_SHOWN, VALUES
from training.data import DataError, load
from training.violations import FILE, LINES_SHOWN, Findings, Violation, file_error


def wrong(column: str, value: str, cause: str, *, count: int = 1, meant: str = "") -> Violation:
    rows = tuple(range(1, min(count, 10) + 1))
    return Violation(
        column=column, rows=rows, count=count, value=value, expected="x", cause=cause, meant=meant, lines=rows
    )


def test_programs_get_everything(tmp_path: Path, table: pd.DataFrame) -> None:
    table["monthly_charges"] = table["monthly_charges"].astype(float).map("{:.2f}".format).str.replace(".", ",")
    table.loc[0, "monthly_charges"] = "29.85"
    table.loc[41, "gender"] = "male."
    path = tmp_path / "a.csv"
    table.rename(columns={"contract": "Kind", "churned": "Churn Value"}).to_csv(path, index=False)
    with pytest.raises(DataError) as caught:
        load(str(path))
    report = json.loads(json.dumps(caught.value.as_dict()))
    assert report["source"] == str(path)
    assert report["problems"] == sum(max(group["count"], 1) for group in report["groups"])
    assert report["causes"] == [line.strip() for line in str(caught.value).splitlines()[1 : 1 + len(report["causes"])]]
    groups = {(group["cause"], group["column"]): group for group in report["groups"]}
    assert set(groups) == {
        ("rename", "'Churn Value'"), ("unknown-column", "'Kind'"), ("missing-column", "contract"),
        ("decimal-comma", "monthly_charges"), ("spelling", "gender"),
    }  # fmt: skip
    assert groups["spelling", "gender"] == {
        "cause": "spelling", "column": "gender", "count": 1, "rows": [42], "lines": [43], "example": "'male.'",
        "meant": "'Male'", "expected": "one of 'Female', 'Male'",
        "hint": "write it exactly as documented",
    }  # fmt: skip
    assert groups["decimal-comma", "monthly_charges"]["rows"] == list(range(2, 12))
    assert groups["decimal-comma", "monthly_charges"]["lines"] == list(range(3, 13))
    assert groups["decimal-comma", "monthly_charges"]["count"] == 299
    assert groups["rename", "'Churn Value'"]["hint"] == "rename the column to churned"


def test_columns_share_the_line_of_a_cause() -> None:
    error = DataError("a.csv", [
        wrong("gender", "'M'", "near-category", count=1200, meant="'Male'"),
        wrong("gender", "'F'", "near-category", count=800, meant="'Female'"),
        wrong("contract", "'Two years'", "near-category", meant="'Two year'"),
    ])  # fmt: skip
    assert str(error).splitlines()[:2] == [
        "a.csv: 2,001 problems (1 cause)",
        (
            "  2,001 values of gender, contract are close to accepted ones ('Male' for M, 'Female' for F, 'Two year' "
            "for Two years): did you mean this? Write them exactly as documented"
        ),
    ]


def test_one_value_is_described_in_the_singular() -> None:
    error = DataError("a.csv", [wrong("monthly_charges", "'29,85'", "decimal-comma")])
    assert str(error).splitlines() == [
        "a.csv: 1 problem (1 cause)",
        "  1 value of monthly_charges looks like a decimal comma (29,85): write it with a decimal point",
        "    monthly_charges: row 1 (line 1): '29,85'; expected x",
    ]


def test_an_example_keeps_its_quotes_if_spaces_would_be_lost() -> None:
    assert "(' 5 x')" in str(DataError("a.csv", [wrong("tenure_months", "' 5 x'", "unit")]))


def test_file_error_is_one_line() -> None:
    assert str(file_error("a.csv", "no such file", "a file", hint="make one")).splitlines() == [
        "a.csv: 1 problem (1 cause)", "  (file): no such file; expected a file; make one",
    ]  # fmt: skip


@pytest.mark.parametrize("cause", [*VALUES, *GENERIC, *COLUMNS, "other"])
@pytest.mark.parametrize("many", [1, 2, 100])
def test_the_text_of_every_cause_is_bounded_and_never_ends_in_a_name(cause: str, many: int) -> None:
    violations = [wrong(f"column{number}", "'v'", cause, meant="'m'") for number in range(many)]
    lines = str(DataError("a.csv", violations)).splitlines()
    assert len(lines) <= 1 + 2 * (LINES_SHOWN + 1)
    assert all("{" not in line for line in lines)
    assert lines[1].count("column") <= NAMES_SHOWN + 2
    assert not any(line.rstrip("'").endswith(f"column{number}") for line in lines for number in range(many))


def test_a_cause_stays_separate_however_many_values_have_it() -> None:
    findings = Findings(telco())
    values = pa.array([f"{number},5" for number in range(2000)] + ["x"] * 3)
    causes = np.array(["decimal-comma"] * 2000 + ["not-a-number"], dtype=object)
    findings.add_cells("monthly_charges", "a number", np.arange(1, 2004), values, lambda _: causes)
    counts: dict[str, int] = {}
    for violation in findings.violations():
        counts[violation.cause] = counts.get(violation.cause, 0) + violation.count
    assert counts == {"decimal-comma": 2000, "not-a-number": 3}
    assert len(findings.violations()) == 20 + 1 + 1


def test_a_file_not_read_to_its_end_says_so(tmp_path: Path, customers_csv: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(customers_csv.read_text() + "1,2\n" * 5000)
    with pytest.raises(DataError) as caught:
        load(str(path))
    (violation,) = caught.value.violations
    assert violation.column == FILE
    assert str(caught.value).endswith(
        f"; reading stopped at row 1,300, after {reading_csv.RAGGED_ROWS_KEPT:,} rows of the wrong width"
    )
