"""A table that is written in any supported way is read with the same values, or refused."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.messy_texts import read

from app.contract import Contract, Key
from app.feature import Constant, Feature
from training.violations import DataError

CITIES = ("Köln", "Málaga", "Genève", "Łódź", "Oslo")
CONTRACT = Contract(
    contract=1,
    name="property",
    key=Key(name="customer_id", letters="unicode", symbols="_.-@+"),
    features=(
        Feature(name="city", type="category", categories=CITIES),
        Feature(name="visits", type="integer", minimum=0, maximum=5_000_000),
        Feature(name="balance", type="number", minimum=-1e6, maximum=1e9, blank=Constant(constant=0.0)),
        Feature(name="share", type="number", minimum=0.0, maximum=1.0),
    ),
    example={"city": "Oslo", "visits": 1, "balance": 1.5, "share": 0.5},
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "cp1250")

KEYS = st.text("abcXYZ0123456789_.-@+äöüñłé", min_size=1, max_size=8).filter(
    lambda key: not re.fullmatch(r"\d+\.0+", key)
)
"""Without those that are read as whole numbers, with a note."""
ROWS = st.lists(
    st.tuples(
        KEYS,
        st.sampled_from(CITIES),
        st.integers(0, 5_000_000) | st.integers(0, 2000),
        st.none() | st.decimals(-1_000_000, 10_000_000, places=3) | st.decimals(0, 2000, places=2),
        st.decimals(0, 1, places=3),
    ),
    min_size=1,
    max_size=8,
)
STYLES = st.fixed_dictionaries(
    {
        "encoding": st.sampled_from(ENCODINGS),
        "delimiter": st.sampled_from(",;\t|"),
        "decimal": st.sampled_from(".,"),
        "thousands": st.sampled_from(["", " ", "'", "\u00a0", "mark"]),
        "places": st.sampled_from([None, 0, 2, 3]),
        "currency": st.sampled_from(["", "€", "$", " EUR"]),
        "end": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "packed": st.sampled_from(["", "gzip", "zstd"]),
        "above": st.sampled_from(["", "Customers of March", "sep"]),
        "blank": st.sampled_from(["", "NULL", "NA", "#N/A", "None"]),
        "row_names": st.booleans(),
    }
)


def number_text(value: Any, style: dict[str, Any]) -> str:
    """A number as a program of that country writes it."""
    if value is None:
        return str(style["blank"])
    text = f"{value:,.{style['places']}f}" if style["places"] is not None else f"{value:,}"
    other = "," if style["decimal"] == "." else "."
    mark = other if style["thousands"] == "mark" else style["thousands"]
    return text.replace(",", "T").replace(".", style["decimal"]).replace("T", mark)


def written(rows: list[tuple[Any, ...]], style: dict[str, Any], path: Path) -> list[tuple[Any, ...]] | None:
    """Write the rows; returns them as written, with as many decimals, or ``None`` if the encoding lacks a letter."""
    content = io.StringIO(newline="")
    if style["above"]:
        content.write((f"sep={style['delimiter']}" if style["above"] == "sep" else style["above"]) + style["end"])
    writer = csv.writer(content, delimiter=style["delimiter"], quoting=style["quoting"], lineterminator=style["end"])
    writer.writerow(["customer_id", "city", "visits", "balance", "share"])
    exact = []
    for number, (key, city, visits, balance, share) in enumerate(rows, start=1):
        whole = dict(style, places=0)
        money = number_text(balance, style)
        money += style["currency"] if balance is not None else ""
        cells = [key, city, number_text(visits, whole), money, number_text(share, dict(style, places=3))]
        writer.writerow([*([str(number)] if style["row_names"] else []), *cells])
        places = style["places"]
        rounded = balance if balance is None or places is None else round(balance, places)
        exact.append((key, city, visits, 0.0 if rounded is None else float(rounded), float(share)))
    try:
        data = content.getvalue().encode(style["encoding"])
    except UnicodeEncodeError:
        return None
    packers: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "zstd": lambda b: pa.compress(b, codec="zstd", asbytes=True),
    }
    path.write_bytes(packers[style["packed"]](data))
    return exact


def read_rows(path: Path) -> list[tuple[Any, ...]]:
    """The rows with the names of their cities."""
    return [(key, CITIES[int(city)], *rest) for key, city, *rest in read(path, contract=CONTRACT)[0]]


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, style=STYLES)
def test_a_table_is_read_with_the_same_values_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], style: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    expected = written(rows, style, path)
    if expected is None:
        return
    try:
        result = read_rows(path)
    except DataError:
        return
    assert result == expected
