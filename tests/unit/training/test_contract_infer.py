"""A proposed contract fits its file, says what it noticed, and has nothing of a single customer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import ROOT

from app.contract import MAX_FEATURES, MAX_SERIES, Reading
from training.contract_features import bounds
from training.contract_file import parse, read
from training.contract_guesses import snake_case
from training.contract_infer import Proposal, infer
from training.contract_rows import RowsConfig, write
from training.data import load
from training.violations import DataError

ROWS = 200


def shop(rows: int = ROWS) -> pd.DataFrame:
    """Customers of a shop with everything that needs a person's eye."""
    rng = np.random.default_rng(1)
    churned = rng.random(rows) < 0.3
    return pd.DataFrame(
        {
            "Unnamed: 0": np.arange(rows),
            "AccountNo": [f"k-{i}@shop.de" for i in range(rows)],
            "Plan Name": rng.choice(["basic", "plus", "No"], rows),
            "Age": rng.integers(18, 80, rows),
            "Monthly Spend": np.round(rng.gamma(2, 20, rows), 2),
            "Balance": np.round(rng.normal(0, 50, rows), 1),
            "Newsletter": rng.integers(0, 2, rows),
            "Zip": [f"{int(z):05d}" for z in rng.integers(1000, 1150, rows)],
            "Note": [f"note {i}" for i in range(rows)],
            "Country": "DE",
            "Since": "2024-05-01",
            "Empty": "",
            "Grouped": rng.choice(["1,234", "2,345"], rows),
            "Cancel Reason": np.where(churned, "price", ""),
            "Final Invoice": np.where(churned, 90.0 + np.arange(rows), 10.0),
            "Rating": np.where(rng.random(rows) < 0.1, "", rng.integers(1, 6, rows).astype(str)),
            "Channel": np.where(rng.random(rows) < 0.1, "NULL", "web"),
            "Pause": np.where(rng.random(rows) < 0.1, "", "1"),
            "Exited": np.where(churned, "Yes", "No"),
        }
    )


def proposal(table: pd.DataFrame, folder: Path, name: str = "2024-shop customers.csv", **options: Any) -> Proposal:
    path = folder / name
    if name.endswith(".parquet"):
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return infer(str(path), **options)


def test_every_column_gets_its_place(tmp_path: Path) -> None:
    proposed = proposal(shop(), tmp_path)
    contract = proposed.contract
    assert contract.name == "shop-customers"
    assert (contract.key.aliases, contract.key.symbols) == (("AccountNo",), "_.-@")
    assert contract.label.aliases == ("Exited",)
    assert [(f.name, f.type) for f in contract.features] == [
        ("plan_name", "category"),
        ("age", "integer"),
        ("monthly_spend", "number"),
        ("balance", "number"),
        ("newsletter", "boolean"),
        ("rating", "integer"),
        ("channel", "category"),
    ]
    assert contract.features[0].categories == ("No", "basic", "plus")
    assert contract.by_name["channel"].categories == ("web", "Unknown")
    assert contract.by_name["rating"].blank == "median"
    assert contract.by_name["age"].lowest == 0
    assert contract.by_name["monthly_spend"].lowest == 0
    assert contract.by_name["balance"].lowest < -100
    for column, reason in {
        "Unnamed: 0": "it numbers the rows",
        "Zip": "free text or too many categories",
        "Note": "an identifier or free text: every row has another",
        "Country": "constant, always DE",
        "Since": "a date; as_of can name it",
        "Empty": "always blank",
        "Grouped": "numbers like 1,234, which is 1234 or 1.234",
        "Cancel Reason": "suspected leak, its name says",
        "Final Invoice": "suspected leak, one threshold of it decides the label",
        "Pause": "constant, always 1 or blank",
    }.items():
        assert column in contract.ignored
        assert f"# {column}: {reason}" in proposed.yaml
    churned = int((shop()["Exited"] == "Yes").sum())
    assert (
        f"{churned / ROWS:.1%} of 200 rows churned (Exited is Yes), {ROWS - churned} stayed (No)." in proposed.remarks
    )


@pytest.mark.parametrize("name", ["shop.csv", "shop.parquet"])
def test_the_file_fits_the_contract_that_was_proposed_for_it(tmp_path: Path, name: str) -> None:
    table = shop().drop(columns="Grouped")
    proposed = proposal(table, tmp_path, name)
    (tmp_path / "shop.yaml").write_text(proposed.yaml)
    contract = read(tmp_path / "shop.yaml")
    assert contract == proposed.contract
    assert len(load(str(tmp_path / name), contract).customers) == ROWS


@pytest.mark.parametrize("name", ["bank", "telco"])
def test_customers_made_up_by_a_contract_are_described_again(tmp_path: Path, name: str) -> None:
    contract = read(ROOT / "contracts" / f"{name}.yaml")
    write(contract, RowsConfig(rows=2000), str(tmp_path / "a.csv"))
    proposed = infer(str(tmp_path / "a.csv")).contract
    assert proposed.names == contract.names
    for ours, theirs in zip(proposed.features, contract.features, strict=True):
        assert set(ours.categories) == set(theirs.categories)
        assert ours.nullable == theirs.nullable
    assert len(load(str(tmp_path / "a.csv"), proposed).customers) == 2000


def test_nothing_of_a_single_customer_is_in_it(tmp_path: Path) -> None:
    table = shop()
    text = proposal(table, tmp_path).yaml
    example = parse(text, "").example
    assert example["customer_id"] == "C0001"
    assert "k-1@shop.de" not in text
    assert "note 1" not in text
    assert example["age"] == round(table["Age"].median())
    assert example["plan_name"] == table["Plan Name"].mode()[0]


def test_label_and_key_can_be_named(tmp_path: Path) -> None:
    table = shop().rename(columns={"Exited": "status", "AccountNo": "who"})
    unknown = proposal(table, tmp_path)
    assert any("No column is a label" in remark for remark in unknown.remarks)
    assert any("No column is a key" in remark for remark in unknown.remarks)
    table["status"] = table["status"].map({"Yes": "B", "No": "A"})
    named = proposal(table, tmp_path, label="status", key="who")
    assert named.contract.key.aliases == ("who",)
    assert (named.contract.label.churned, named.contract.label.stayed) == (("B",), ("A",))
    assert "# Check this: 'B' was taken for 'churned' only because it is rarer." in named.yaml


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"label": "nothing"}, "there is no column 'nothing'"),
        ({"key": "nothing"}, "there is no column 'nothing'"),
        ({"label": "Age"}, "the label 'Age' has"),
        ({"label": "Country"}, "the label 'Country' has 1 value ('DE'); expected two values"),
    ],
)
def test_a_wrong_column_is_refused(tmp_path: Path, options: dict[str, str], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        proposal(shop(), tmp_path, **options)
    assert expected in str(caught.value)


def test_files_without_customers_or_features_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows"):
        proposal(shop()[["Age", "Exited"]][:0], tmp_path)
    with pytest.raises(DataError, match="no column can be a feature"):
        proposal(shop()[["Note", "Exited"]], tmp_path)


def test_repeated_and_contradicting_rows_are_counted(tmp_path: Path) -> None:
    table = shop()[["AccountNo", "Age", "Monthly Spend", "Exited"]]
    again = table[:7].assign(AccountNo=[f"again-{i}" for i in range(7)])
    other = table[:3].assign(
        AccountNo=[f"other-{i}" for i in range(3)], Exited=table["Exited"][:3].map({"Yes": "No", "No": "Yes"})
    )
    remarks = proposal(pd.concat([table, again, other]), tmp_path).remarks
    assert any("7 rows repeat another row in everything but the key" in remark for remark in remarks)
    assert any("3 rows are like another in all features, but not in the label" in remark for remark in remarks)


def test_a_blank_category_is_a_category_of_its_own(tmp_path: Path) -> None:
    table = shop()
    table.loc[:9, "Plan Name"] = ""
    feature = proposal(table, tmp_path).contract.by_name["plan_name"]
    assert feature.categories == ("No", "basic", "plus", "Unknown")
    assert feature.code("Unknown") == 3
    assert str(feature.blank) == "constant='Unknown'"


def test_the_key_may_be_blank_or_repeated_in_some_rows(tmp_path: Path) -> None:
    table = shop()
    table.loc[:9, "AccountNo"] = "NULL"
    table.loc[10:12, "AccountNo"] = "k-1@shop.de"
    proposed = proposal(table, tmp_path)
    assert proposed.contract.key.aliases == ("AccountNo",)
    assert "AccountNo is blank or repeated in some rows: rows of one key count as one customer." in proposed.remarks


def test_decimal_commas_are_set_as_an_option(tmp_path: Path) -> None:
    table = shop().drop(columns="Grouped")
    table["Monthly Spend"] = table["Monthly Spend"].map(lambda spend: f"{spend:.2f}".replace(".", ","))
    contract = proposal(table, tmp_path).contract
    assert contract.reading.decimal == ","
    assert contract.by_name["monthly_spend"].type == "number"


def test_how_the_file_is_written_goes_into_the_contract(tmp_path: Path) -> None:
    shop().to_csv(tmp_path / "a.csv", index=False)
    reading = Reading(encoding="utf-8", thousands="")
    assert infer(str(tmp_path / "a.csv"), reading=reading).contract.reading == reading


@pytest.mark.parametrize(("columns", "distinct"), [(MAX_FEATURES + 5, 2), (40, 99)])
def test_a_wide_file_fits_into_the_limits(tmp_path: Path, columns: int, distinct: int) -> None:
    values = np.arange(300) % distinct
    table = pd.DataFrame({f"c{i}": [f"t{v}" for v in np.roll(values, i)] for i in range(columns)})
    contract = proposal(table, tmp_path).contract
    assert contract.series <= MAX_SERIES
    assert len(contract.names) <= MAX_FEATURES
    assert len(contract.names) + len(contract.ignored) == columns
    assert contract.ignored


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("customerID", "customer_id"),
        ("MonthlyCharges", "monthly_charges"),
        ("StreamingTV", "streaming_tv"),
        ("Senior Citizen", "senior_citizen"),
        ("HTTPServerName", "http_server_name"),
        ("Kündigungsgröße", "kuendigungsgroesse"),
        ("2024 sales (€)", "column_2024_sales"),
        ("顧客", "column"),
        ("a" * 100, "a" * 63),
    ],
)
def test_names_become_snake_case(theirs: str, ours: str) -> None:
    assert snake_case(theirs) == ours


def test_names_stay_different() -> None:
    taken = ["age"]
    for _ in range(3):
        taken.append(snake_case("Age!", taken))
    assert taken == ["age", "age_2", "age_3", "age_4"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12).map(lambda n: float(f"{n:.6g}")), min_size=2, max_size=5, unique=True))
def test_bounds_hold_the_numbers_with_a_margin_and_stay_on_their_side_of_zero(numbers: list[float]) -> None:
    low, high = bounds(np.array(numbers))
    smallest, largest = min(numbers), max(numbers)
    assert low <= smallest < largest <= high
    assert low < high
    assert low >= 0 if smallest >= 0 else low <= smallest - 0.49 * (largest - smallest) or high == 0
    assert high <= 0 if largest <= 0 else True
    assert math.isfinite(high - low)


@pytest.mark.parametrize("mark", [".", ","])
def test_thousands_that_could_be_decimals_are_named_and_an_option_decides(tmp_path: Path, mark: str) -> None:
    """As German programs write 1854 beside 777: nothing but the mark tells that the first is the larger one."""
    spend = np.random.default_rng(2).integers(1, 9000, ROWS)
    grouped = [f"{int(amount):,}".replace(",", mark) for amount in spend]
    table = shop().drop(columns=["Monthly Spend", "Balance"]).assign(Grouped=grouped)
    proposed = proposal(table, tmp_path)
    assert "Grouped" in proposed.contract.ignored
    assert "# Grouped: numbers like 1,234, which is 1234 or 1.234: --decimal says which" in proposed.yaml
    other = {".": ",", ",": "."}[mark]
    decided = proposal(table, tmp_path, reading=Reading.model_validate({"decimal": other})).contract
    assert decided.by_name["grouped"].type == "integer"
    assert decided.by_name["grouped"].highest > 9000
    data = load(str(tmp_path / "2024-shop customers.csv"), decided)
    assert data.customers["grouped"].tolist() == spend.tolist()
    decimals = proposal(table, tmp_path, reading=Reading.model_validate({"decimal": mark})).contract
    assert decimals.by_name["grouped"].type == "number"
    assert decimals.by_name["grouped"].highest < 2000


def test_a_column_of_numbers_of_a_parquet_file_has_one_reading(tmp_path: Path) -> None:
    contract = proposal(shop().assign(Grouped=np.arange(1, ROWS + 1) % 9 + 1.125), tmp_path, "a.parquet").contract
    assert contract.by_name["grouped"].type == "number"


def test_german_excel_files_have_their_header_for_a_delimiter(tmp_path: Path) -> None:
    """Two decimal commas in each row: by commas, the rows are alike too, and the header would be a title."""
    table = shop().drop(columns=["Grouped", "Note"])
    for name in ("Monthly Spend", "Balance"):
        table[name] = table[name].map(lambda amount: f"{amount:.2f}".replace(".", ","))
    table["Final Invoice"] = "a"
    table.to_csv(tmp_path / "a.csv", sep=";", index=False)
    contract = infer(str(tmp_path / "a.csv")).contract
    assert {"monthly_spend", "balance", "plan_name"} <= set(contract.names)
    assert contract.reading.decimal == ","
    assert load(str(tmp_path / "a.csv"), contract).customers["balance"].min() < 0
