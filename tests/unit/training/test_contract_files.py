"""Files of any contract: read as its API would read the same customers, to the bit."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.contracts import contracts, invalid_value, medians, rows, small_bank, small_bank_customers, with_feature
from support.parquet import with_column

from app.coding import Coder
from app.contract import Contract, Features
from app.errors import ApiError
from app.parsing import Parser
from training.data import DataError, Dataset, encode_frame, filled_medians, load
from training.filling import medians_of
from training.validate import checked_batches
from training.violations import Findings, Violation

BANK = small_bank()


def written(contract: Contract, customers: Sequence[dict[str, Any]], path: Path) -> Path:
    """Write customers with a key; a CSV file has a blank as nothing, a Parquet file as null."""
    names = [contract.key.name, *contract.names]
    table = [[f"c{number}", *map(row.get, contract.names)] for number, row in enumerate(customers)]
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *table])
    else:
        columns = [pa.array(list(column)) for column in zip(*table, strict=True)]
        pq.write_table(pa.table(columns, names=names), path)
    return path


def features_of(path: Path, contract: Contract, fill: dict[str, float]) -> Features:
    findings = Findings(contract)
    batches = [batch.features(fill) for batch in checked_batches(path, contract, findings, labelled=False)]
    findings.raise_if_any(str(path))
    return np.concatenate(batches)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_is_coded_as_the_api_codes_its_rows_to_the_bit(suffix: str, data: st.DataObject) -> None:
    contract = data.draw(contracts())
    customers = data.draw(rows(contract))
    fill = medians(contract)
    expected = Coder(contract, fill).many(customers)
    with tempfile.TemporaryDirectory() as folder:
        path = written(contract, customers, Path(folder) / f"a{suffix}")
        assert features_of(path, contract, fill).tobytes() == expected.tobytes()
        frame = load(str(path), contract, labelled=False).customers
    assert encode_frame(contract, frame, fill).tobytes() == expected.tobytes()
    assert encode_frame(contract, filled_medians(frame, fill), {}).tobytes() == expected.tobytes()


@st.composite
def one_invalid(draw: st.DrawFn) -> tuple[Contract, list[dict[str, Any]], int, str]:
    """A contract, customers of which one has one invalid value, its position, and the column."""
    contract = draw(contracts())
    customers = draw(rows(contract))
    position = draw(st.integers(0, len(customers) - 1))
    feature = draw(st.sampled_from(contract.features))
    customers[position] = customers[position] | {feature.name: draw(invalid_value(feature))}
    return contract, customers, position, feature.name


@settings(max_examples=100, deadline=None)
@given(case=one_invalid())
def test_files_and_the_api_refuse_the_same_value_of_a_row(
    case: tuple[Contract, list[dict[str, Any]], int, str],
) -> None:
    contract, customers, position, name = case
    parser = Parser(contract, len(customers))
    with pytest.raises(ApiError) as alone:
        parser.one(json.dumps(customers[position]).encode())
    assert [error["location"] for error in alone.value.errors or ()] == [[name]]
    with pytest.raises(ApiError) as among:
        parser.many(json.dumps({"customers": customers}).encode())
    assert [error["location"] for error in among.value.errors or ()] == [["customers", position, name]]
    with tempfile.TemporaryDirectory() as folder, pytest.raises(DataError) as read:
        load(str(written(contract, customers, Path(folder) / "a.csv")), contract, labelled=False)
    assert [(v.column, v.rows) for v in read.value.violations] == [(name, (position + 1,))]


@settings(max_examples=60, deadline=None)
@given(case=one_invalid())
def test_parquet_files_refuse_the_same_value_of_a_row(case: tuple[Contract, list[dict[str, Any]], int, str]) -> None:
    contract, customers, position, name = case
    kinds = {type(row.get(name)) for row in customers} - {type(None)}
    # A column of a Parquet file has one type; whole numbers among fractions become fractions.
    assume(len(kinds) == 1 or kinds == {int, float})
    customers = [
        row | {name: float(row[name])} if float in kinds and row.get(name) is not None else row for row in customers
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.raises(DataError) as read:
        load(str(written(contract, customers, Path(folder) / "a.parquet")), contract, labelled=False)
    (violation,) = read.value.violations
    assert violation.column == name
    assert violation.rows in {(position + 1,), ()}, "a column whose type fits no value is refused as a whole"


def bank_file(path: Path, **columns: Any) -> str:
    """Ten customers of the bank as text, with these columns replaced or added."""
    frame = small_bank_customers(10, 1).astype({"active_member": int}).astype(object)
    frame["left"] = [0, 1] * 5
    for name, values in columns.items():
        frame[name] = values if isinstance(values, list) else [values] * len(frame)
    frame.to_csv(path / "a.csv", index=False)
    return str(path / "a.csv")


def read(path: Path, **columns: Any) -> Dataset:
    return load(bank_file(path, **columns), BANK)


def refused(path: Path, **columns: Any) -> list[Violation]:
    with pytest.raises(DataError) as caught:
        read(path, **columns)
    return list(caught.value.violations)


def test_a_boolean_may_be_written_in_any_usual_way(tmp_path: Path) -> None:
    words = ["true", "FALSE", "1", "0", "1.0", "0.00", "Yes", "no", "Y", "n"]
    data = read(tmp_path, active_member=words)
    assert data.customers["active_member"].tolist() == [1.0, 0.0] * 5
    (wrong,) = refused(tmp_path, active_member=["2", *words[1:]])
    assert (wrong.column, wrong.value, wrong.expected) == ("active_member", "'2'", "true or false")


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.float64(), pa.decimal128(30, 1), pa.large_string()])
def test_a_boolean_may_be_of_any_type_in_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    frame = small_bank_customers(10, 1).assign(left=[0, 1] * 5)
    numbers = pa.array([1, 0] * 5).cast(pa.bool_() if kind == pa.bool_() else pa.int64())
    path = with_column(tmp_path / "a.parquet", frame, "active_member", lambda _: numbers.cast(kind))
    assert load(path, BANK).customers["active_member"].tolist() == [1.0, 0.0] * 5


def test_categories_in_another_case_and_spellings_are_read_with_a_note(tmp_path: Path) -> None:
    data = read(tmp_path, geography=["france", "GERMANY", "de", " DE ", "Spain"] * 2, products=["one", "2"] * 5)
    expected = ["France", "Germany", "Germany", "Germany", "Spain"] * 2
    assert data.customers["geography"].astype(str).tolist() == expected
    assert data.customers["products"].tolist() == [1.0, 2.0] * 5
    assert "Other spellings of values in geography, products were read as the contract says." in data.notes


def test_a_case_that_could_be_two_categories_is_refused(tmp_path: Path) -> None:
    contract = with_feature(BANK, "geography", categories=("France", "FRANCE", "Spain"), spellings={})
    path = bank_file(tmp_path, geography=["France", "FRANCE", "spain", "france", "Spain"] * 2)
    with pytest.raises(DataError) as caught:
        load(path, contract)
    assert [(v.column, v.value, v.count) for v in caught.value.violations] == [("geography", "'france'", 2)]


def test_blanks_count_as_the_contract_says(tmp_path: Path) -> None:
    blanks = ["", "NULL", "n/a", None, "NaN"] * 2
    data = read(tmp_path, geography=blanks, balance=[*blanks[:5], *range(1, 6)], salary=blanks, credit_score=500)
    assert set(data.customers["geography"]) == {"France"}
    assert set(data.customers["salary"]) == {50000.0}
    assert data.customers["balance"].isna().tolist() == [True] * 5 + [False] * 5
    assert "Words such as NULL or NA in geography, balance, salary count as blank." in data.notes
    assert medians_of(BANK, data.customers) == {"balance": 3.0}
    assert {v.column for v in refused(tmp_path, age="", products="NULL", active_member="NA")} == {
        "age", "products", "active_member"
    }  # fmt: skip


def test_the_remedy_names_the_features_that_may_be_blank(tmp_path: Path) -> None:
    (wrong,) = refused(tmp_path, products="NULL")
    assert wrong.hint == "only geography, balance and salary may be left blank"


def test_a_feature_that_is_always_blank_has_no_median(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="balance is blank in every training row"):
        medians_of(BANK, read(tmp_path, balance="").customers)


def test_labels_have_the_texts_of_the_contract(tmp_path: Path) -> None:
    data = read(tmp_path, left=["gone", "HERE", "1.00", "0E-10", "True", "false", "Yes", "no", 1, 0])
    assert data.churned is not None
    assert data.churned.tolist() == [1, 0] * 5
    (wrong,) = refused(tmp_path, left=["perhaps", *[0, 1, 1] * 3])
    assert wrong.expected == "0 or 1, false or true, No or Yes, or one of 'here', 'gone'"


def test_columns_have_aliases_and_some_are_ignored_or_refused(tmp_path: Path) -> None:
    frame = small_bank_customers(10, 1).assign(left=[0, 1] * 5, RowNumber=1, day="2026-01-01")
    frame = frame.rename(columns={"email": "E-Mail", "left": "Exited", "active_member": "IsActiveMember"})
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = load(str(tmp_path / "a.csv"), BANK)
    assert data.ids is not None
    assert data.ids[0] == "c0+x@example.org"
    assert "Ignored, as the contract says: the column RowNumber." in data.notes
    frame.assign(complain=0).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="which a model must not know"):
        load(str(tmp_path / "a.csv"), BANK)


def test_a_key_has_the_letters_of_the_contract(tmp_path: Path) -> None:
    names = [f"müller{number}@example.org" for number in range(10)]
    wrong = refused(tmp_path, email=names)
    assert {v.hint for v in wrong} == {"use letters, digits, _, ., -, @ and + only, at most 64 of them"}
    unicode = BANK.model_copy(update={"key": BANK.key.model_copy(update={"letters": "unicode"})})
    data = load(str(tmp_path / "a.csv"), unicode)
    assert data.ids is not None
    assert data.ids.tolist() == names


def test_another_business_is_told_which_contract_it_does_not_fit(tmp_path: Path) -> None:
    pd.DataFrame({f"column{number}": [1] for number in range(9)}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"the contract 'small-bank'.*`churn contract infer`"):
        load(str(tmp_path / "a.csv"), BANK)


def test_true_and_false_are_a_category_only_where_the_contract_spells_them(tmp_path: Path) -> None:
    frame = small_bank_customers(10, 1).assign(left=[0, 1] * 5)
    path = with_column(tmp_path / "a.parquet", frame, "geography", lambda _: pa.array([True, False] * 5))
    with pytest.raises(DataError, match="geography: a column of type bool"):
        load(path, BANK)
    contract = with_feature(BANK, "geography", spellings={"True": "Spain", "False": "Germany"})
    data = load(path, contract)
    assert data.customers["geography"].astype(str).tolist() == ["Spain", "Germany"] * 5
