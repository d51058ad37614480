"""Codes customers for a model: one compiled plan per contract, for single customers and for many, alike to the bit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from app.contract import Contract, Features
from app.feature import Constant, Feature, Formula

LARGEST: Final = float(np.finfo(np.float32).max)
"""Largest number that a model's input can hold."""
Row: TypeAlias = Mapping[str, Any]
"""One validated customer by feature name."""
Filler: TypeAlias = Callable[[Row], float]


def finite(value: float, feature: Feature) -> float:
    """The result of a formula, or the minimum of its feature where there is no finite one (a division by zero)."""
    # Written so that NaN is replaced too.
    return value if abs(value) <= LARGEST else feature.lowest


def _filler(feature: Feature, medians: Mapping[str, float]) -> Filler:
    """The function that computes what a blank counts as."""
    blank = feature.blank
    if isinstance(blank, Formula):
        formula = blank.parsed
        return lambda row: finite(formula.value(row), feature)
    value = feature.code(blank.constant) if isinstance(blank, Constant) else medians[feature.name]
    return lambda _: value


def _table(feature: Feature) -> Mapping[str | None, float | None] | None:
    """Code of each category, a blank's being None; None for a number."""
    if not feature.is_category:
        return None
    blank: dict[str | None, float | None] = {None: None} if feature.nullable else {}
    return blank | feature.codes


class Coder:
    """Codes customers that were checked against a contract."""

    def __init__(self, contract: Contract, medians: Mapping[str, float]) -> None:
        """Compile the plan.

        Args:
            contract: names, order, categories and blanks of the features.
            medians: of the training rows, for each feature whose blanks count as one.

        Raises:
            KeyError: such a median is missing.
        """
        self.contract = contract
        self._tables = tuple((f.name, _table(f)) for f in contract.features)
        self._fillers = tuple((i, _filler(f, medians)) for i, f in enumerate(contract.features) if f.nullable)
        self._float32 = struct.Struct(f"{len(contract.features)}f")

    def one(self, row: Row) -> tuple[float, ...]:
        """Code one customer, exactly as :meth:`many` does, float32 rounding included.

        Raises:
            KeyError: a feature is missing or a category unknown, so the row was never validated.
        """
        get = row.get
        coded: list[Any] = [get(name) if codes is None else codes[get(name)] for name, codes in self._tables]
        for position, fill in self._fillers:
            if coded[position] is None:
                coded[position] = fill(row)
        try:
            return self._float32.unpack(self._float32.pack(*coded))
        except struct.error:
            raise KeyError(self.contract.names[coded.index(None)]) from None

    def many(self, rows: Sequence[Row]) -> Features:
        """Code validated customers.

        Returns:
            float32 array of shape (len(rows), features), C-contiguous.

        Raises:
            KeyError: as for :meth:`one`.
        """
        fillers = dict(self._fillers)
        columns = [_column(name, codes, rows, fillers.get(i)) for i, (name, codes) in enumerate(self._tables)]
        return np.ascontiguousarray(np.array(columns, dtype=np.float32).T)


def _column(
    name: str, codes: Mapping[str | None, float | None] | None, rows: Sequence[Row], fill: Filler | None
) -> list[float | None]:
    if fill is None:
        return [row[name] for row in rows] if codes is None else [codes[row[name]] for row in rows]
    values = [row.get(name) for row in rows]
    return [
        fill(row) if value is None else value if codes is None else codes[value]
        for row, value in zip(rows, values, strict=True)
    ]
