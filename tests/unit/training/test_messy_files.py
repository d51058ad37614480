"""Files as people send them: each is read, with a note of every change, or refused with its cause and remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.telco import FEATURE_NAMES, IBM_COLUMNS, ID_COLUMN

from training.data import DataError, Dataset, load

YES_NO = ("partner", "dependents", "phone_service", "paperless_billing")
OURS_TO_IBM = {ours: ibm for ibm, ours in IBM_COLUMNS.items()}


def written(frame: pd.DataFrame, path: Path) -> str:
    frame.to_csv(path, index=False)
    return str(path)


def refused(source: str) -> list[str]:
    """The lines of the message without the file's name."""
    with pytest.raises(DataError) as caught:
        load(source)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(f"{source}: ")
    return [first.removeprefix(f"{source}: "), *lines]


def same(read: Dataset, clean: Dataset) -> bool:
    """Whether both files were read as the same customers and labels."""
    assert read.churned is not None
    assert clean.churned is not None
    return read.customers.equals(clean.customers) and read.churned.tolist() == clean.churned.tolist()


@pytest.fixture
def clean(customers_csv: Path) -> Dataset:
    return load(str(customers_csv))


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "a.csv"


def test_clean_file_has_no_notes(clean: Dataset) -> None:
    assert clean.notes == ()


def test_unquoted_decimal_commas_are_recognised_in_rows_that_are_too_wide(csv: Path, table: pd.DataFrame) -> None:
    csv.write_text(Path(written(table, csv)).read_text().replace(".", ","))
    lines = refused(str(csv))
    example = table["monthly_charges"][0].replace(".", ",")
    assert (
        lines[1]
        == f"  300 values of monthly_charges look like decimal commas ({example}): write them with a decimal point"
    )


def test_unquoted_thousands_are_recognised_in_rows_that_are_too_wide(csv: Path, table: pd.DataFrame) -> None:
    table["total_charges"] = "1854.38"
    table.loc[:1, "total_charges"] = ["THOUSANDS", "CURRENCY"]
    text = Path(written(table, csv)).read_text()
    csv.write_text(text.replace("THOUSANDS", "1,854.38").replace("CURRENCY", "$1,854.38"))
    lines = refused(str(csv))
    assert lines[0] == "2 problems (2 causes)"
    assert lines[1].startswith("  1 value of total_charges has a thousands separator (1,854.38): ")
    assert lines[2].startswith("  1 value of total_charges has a currency sign ($1,854.38): ")


def test_a_row_that_is_too_wide_for_another_reason_is_not_a_decimal_comma(csv: Path, table: pd.DataFrame) -> None:
    table.loc[0, "monthly_charges"], table.loc[0, "total_charges"] = "45", "90"
    for extra in (",", ",moved"):
        lines = Path(written(table, csv)).read_text().splitlines()
        lines[1] += extra
        csv.write_text("\n".join(lines))
        assert refused(str(csv))[1].startswith("  (file): row 1 (line 2): '22 fields'; expected 21 fields")


def test_true_and_false_are_read_as_yes_and_no(csv: Path, table: pd.DataFrame, clean: Dataset) -> None:
    for number, name in enumerate(YES_NO):
        table[name] = table[name].map({"Yes": ["TRUE", "True", "true", "TRUE"][number], "No": "FALSE"})
    table["churned"] = table["churned"].map({"1": "TRUE", "0": "FALSE"})
    read = load(written(table, csv))
    assert same(read, clean)
    assert read.notes == (f"True and false in {', '.join(YES_NO)} were read as Yes and No.",)


def test_booleans_of_a_parquet_file_are_read_as_yes_and_no(tmp_path: Path, table: pd.DataFrame, clean: Dataset) -> None:
    for name in YES_NO:
        table[name] = table[name] == "Yes"
    table.to_parquet(tmp_path / "a.parquet")
    read = load(str(tmp_path / "a.parquet"))
    assert same(read, clean)
    assert read.notes == (f"True and false in {', '.join(YES_NO)} were read as Yes and No.",)


def test_true_and_false_are_not_enough_for_three_answers(csv: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    table["online_security"] = np.where(table["online_security"] == "Yes", "TRUE", "FALSE")
    line = refused(written(table, csv))[1]
    assert line.startswith("  300 values of online_security are true or false, but there are three answers ('")
    assert line.endswith("write Yes, No, or that there is no such service, as documented")
    table.assign(online_security=table["online_security"] == "TRUE").to_parquet(tmp_path / "a.parquet")
    line = refused(str(tmp_path / "a.parquet"))[1]
    assert "online_security: a column of type bool; expected one of 'No', 'Yes', 'No internet service'" in line


def test_spaces_around_values_are_removed_with_a_note(csv: Path, table: pd.DataFrame, clean: Dataset) -> None:
    read = load(written(table.map(lambda value: f" {value}  " if value else value), csv))
    assert same(read, clean)
    assert read.ids is not None
    assert clean.ids is not None
    assert read.ids.tolist() == clean.ids.tolist()
    (note,) = read.notes
    assert note.startswith("Spaces around values of gender, partner")
    assert note.endswith("customer_id, churned were removed.")


def test_title_case_names_are_understood_with_a_note(csv: Path, table: pd.DataFrame, clean: Dataset) -> None:
    """All but Partner, Dependents and Contract, which are IBM's own spellings."""
    read = load(written(table.rename(columns=lambda name: name.replace("_", " ").title()), csv))
    assert same(read, clean)
    assert read.notes == (
        (
            "Names that differ only in case, spaces or punctuation were understood: 'Customer Id' as customer_id, "
            "'Gender' as gender, 'Senior Citizen' as senior_citizen, 'Tenure Months' as tenure_months, "
            "'Phone Service' as phone_service and 13 more."
        ),
    )


def ibm_of_2018(table: pd.DataFrame) -> pd.DataFrame:
    """IBM's newer file with its 33 columns."""
    names = {name: name.replace("_", " ").title().replace("Tv", "TV") for name in FEATURE_NAMES}
    frame = table.rename(columns=names | {ID_COLUMN: "CustomerID", "churned": "Churn Value"})
    for name in ("Count", "Country", "State", "City", "Zip Code", "Lat Long", "Latitude", "Longitude"):
        frame[name] = "1"
    frame["Senior Citizen"] = frame["Senior Citizen"].map({"0": "No", "1": "Yes"})
    frame["Churn Label"] = frame["Churn Value"].map({"0": "No", "1": "Yes"})
    return frame.assign(**{"Churn Score": "50", "CLTV": "3000", "Churn Reason": "Moved"})


def test_ibms_file_of_33_columns_is_explained_at_once(csv: Path, table: pd.DataFrame) -> None:
    frame = ibm_of_2018(table)
    assert len(frame.columns) == 33
    lines = refused(written(frame, csv))
    causes = [line for line in lines[1:] if not line.startswith("    ")]
    assert lines[0].endswith("(4 causes)")
    rename, unknown, again, leak = (next(line for line in causes if text in line) for text in (
        "rename the column to churned", "are unknown", "one column for churned", "tell who churned"
    ))  # fmt: skip
    assert rename.startswith("  'Churn Value': ")
    assert unknown.endswith(
        "'Count', 'Country', 'State', 'City', 'Zip Code', 'Lat Long', 'Latitude', 'Longitude', 'CLTV'; "
        "remove or rename them"
    )
    assert again.startswith("  'Churn Label': ")
    assert leak.endswith("which a model must not know: 'Churn Score', 'Churn Reason'; remove them")


def test_a_file_of_another_business_is_explained_in_one_line(csv: Path) -> None:
    names = ("RowNumber,CustomerId,Surname,CreditScore,Geography,Gender,Age,Tenure,Balance,NumOfProducts,HasCrCard,"
             "IsActiveMember,EstimatedSalary,Exited")  # fmt: skip
    csv.write_text(f"{names}\n1,15634602,Hill,619,France,Female,42,2,0,1,1,1,101348.88,1\n")
    first, line = refused(str(csv))
    assert first == "1 problem (1 cause)"
    assert "this looks like another schema: 2 of 19 columns match; expected" in line
    assert "only gender, tenure_months match; map your columns to gender, senior_citizen, " in line


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_pandas_row_index_is_ignored_with_a_note(csv: Path, table: pd.DataFrame, clean: Dataset, name: str) -> None:
    table.insert(0, name, range(len(table)))
    read = load(written(table, csv))
    assert same(read, clean)
    assert read.notes == (f"A row index was ignored: the column named {name!r}.",)


def test_row_index_in_a_parquet_file_is_ignored_with_a_note(
    tmp_path: Path, table: pd.DataFrame, clean: Dataset
) -> None:
    pq.write_table(pa.Table.from_pandas(table, preserve_index=True), tmp_path / "a.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "a.parquet").names
    read = load(str(tmp_path / "a.parquet"))
    assert same(read, clean)
    assert read.notes == ("A row index was ignored: the column named '__index_level_0__'.",)


def test_nan_counts_as_blank_only_in_a_nullable_column(tmp_path: Path, table: pd.DataFrame, clean: Dataset) -> None:
    blanks = int((table["total_charges"] == "").sum())
    totals = pa.array(pd.to_numeric(table["total_charges"]).to_numpy(), from_pandas=False)
    assert totals.null_count == 0
    columns = {name: pa.array(table[name]) for name in table} | {"total_charges": totals}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    read = load(str(tmp_path / "a.parquet"))
    assert same(read, clean)
    assert read.notes == (f"NaN in total_charges counts as blank ({blanks} rows).",)
    pq.write_table(pa.table(columns | {"monthly_charges": totals}), tmp_path / "a.parquet")
    assert refused(str(tmp_path / "a.parquet"))[1].startswith(
        f"  {blanks} values of monthly_charges stand for missing values (nan): fill in what is missing"
    )


def test_one_id_for_different_customers_is_reported(csv: Path, table: pd.DataFrame) -> None:
    table.loc[:99, "customer_id"] = "C1"
    (note,) = load(written(table, csv)).notes
    assert note.startswith("100 rows share 1 id but describe different customers")


def test_null_ids_count_as_separate_customers(csv: Path, table: pd.DataFrame) -> None:
    table.loc[::3, "customer_id"] = "NULL"
    read = load(written(table, csv))
    assert read.ids is not None
    assert read.ids.is_unique
    assert read.notes == (
        "100 rows have no customer_id (blank, or a word such as NULL): each counts as a customer of its own.",
    )


def test_one_more_feature_is_an_unknown_column(csv: Path, table: pd.DataFrame) -> None:
    _, line = refused(written(table.assign(support_tickets_90d="1"), csv))
    assert line == (
        "  'support_tickets_90d': unknown column; expected only the documented columns; remove or rename the column"
    )


def test_files_with_merely_unlikely_values_are_read(csv: Path, table: pd.DataFrame) -> None:
    """Weeks instead of months, contradictions and random labels pass: all are in bounds."""
    table["tenure_months"] = (table["tenure_months"].astype(int) * 4).astype(str)
    table["internet_service"] = "No"
    table["churned"] = np.random.default_rng(1).permutation(table["churned"])
    ids = table.drop(columns="customer_id")
    assert load(written(pd.concat([ids, ids]), csv)).notes == ()
