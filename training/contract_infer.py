"""Proposes a contract for a file: features, key and label, with comments on what needs a person's eye."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from app.contract import MAX_FEATURES, MAX_SERIES, NUMBER_BINS, Contract, Reading
from training.contract_features import propose
from training.contract_guesses import churned_text, is_row_number, key_of, label_of, nameable, snake_case, unusable
from training.contract_profile import MAX_ROWS, Column, Profile, profile
from training.contract_writer import EDITORS, yaml_text
from training.contract_yaml import Path
from training.hints import LABELS
from training.notes import counted
from training.violations import file_error

_SLICES: Final = 4
_SLICE_CATEGORIES: Final = range(2, 7)
_SHOWN: Final = 3
_AS_OF: Final = frozenset(
    {"as_of", "asof", "snapshot", "snapshot_date", "reference_date", "stichtag", "date", "as_of_date"}
)
"""Names of the day on which a row was known."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A proposed contract, its YAML with comments, and what was noticed as sentences."""

    contract: Contract
    yaml: str
    remarks: tuple[str, ...]


@dataclass
class _Draft:
    """The contract while it is put together."""

    taken: set[str]
    features: list[dict[str, Any]] = field(default_factory=list)
    example: dict[str, Any] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    used: list[Column] = field(default_factory=list)
    """The columns of the features."""
    comments: dict[Path, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def is_full(self, column: Column) -> bool:
        """Whether a contract has no room for another feature like this."""
        return len(self.used) == MAX_FEATURES or NUMBER_BINS + sum(map(_bins, [*self.used, column])) > MAX_SERIES

    def add(self, column: Column) -> None:
        self.used.append(column)
        name = snake_case(column.name, self.taken)
        self.taken.add(name)
        proposed = propose(column, name)
        self.comments[("features", len(self.features))] = list(proposed.comments)
        self.features.append(proposed.feature)
        self.example[name] = proposed.typical

    def ignore(self, column: Column, why: str) -> None:
        if nameable(column.name):
            self.ignored.append(column.name)
            self.comments.setdefault(("ignored",), []).append(f"{column.name}: {why}.")
        else:
            self.remarks.append(f"The column {column.name!r} is left out ({why}).")


def _bins(column: Column) -> int:
    """The most bins that the feature of a column has: one more than its texts, if a blank is a category too."""
    return len(column.counts) + 1 if column.kind == "text" else NUMBER_BINS


def infer(source: str, *, label: str | None = None, key: str | None = None, reading: Reading | None = None) -> Proposal:
    """Propose a contract for a file.

    Args:
        source: CSV, Excel or Parquet, a path, folder or pattern, or ``s3://bucket/key``.
        label: the column of the label; by default one that is called like it and has two values.
        key: the column of the customers' key; by default one that is called like it and is unique.
        reading: how the file is written, where it could be read in two ways; the contract then says it too.

    Raises:
        DataError: the file cannot be read, has no such column, or nothing that can be a feature.
    """
    profiled = profile(source, reading)
    if not profiled.rows:
        raise file_error(source, "it has no rows", "a header and at least one customer")
    label_column = label_of(profiled.columns) if label is None else _named(profiled, label, source)
    others = [c for c in profiled.columns if c is not label_column]
    key_column = key_of(others) if key is None else _named(profiled, key, source)
    draft = _Draft(taken={"customer_id", "churned"})
    document = _document(profiled, source, label_column, key_column, draft)
    if not draft.features:
        raise file_error(source, "no column can be a feature", "columns with numbers or a few different texts")
    document |= {"features": draft.features, "example": draft.example}
    if reading:
        document["reading"] |= reading.model_dump(mode="json", exclude_defaults=True)
    contract = Contract.model_validate_json(json.dumps({k: v for k, v in document.items() if v}))
    head = [EDITORS, *_head(source, profiled, draft)]
    return Proposal(
        contract=contract, yaml=yaml_text(contract, head=head, comments=draft.comments), remarks=tuple(head[1:])
    )


def _named(profiled: Profile, name: str, source: str) -> Column:
    column = profiled.column(name)
    if column is None:
        known = ", ".join(c.name for c in profiled.columns)
        raise file_error(source, f"there is no column {name!r}", f"one of {known}")
    return column


def _document(
    profiled: Profile, source: str, label: Column | None, key: Column | None, draft: _Draft
) -> dict[str, Any]:
    """The contract without its features and its example, which are in the draft."""
    churned = _label_rows(label, source) if label is not None else None
    document: dict[str, Any] = {
        "contract": 1,
        "name": _name(source),
        "key": _key(key, draft),
        "label": _label(label, draft, churned),
    }
    for column in profiled.columns:
        if column is label or column is key:
            continue
        reason = unusable(column, churned)
        if (
            column.kind == "date"
            and "as_of" not in document
            and snake_case(column.name) in _AS_OF
            and nameable(column.name)
        ):
            document["as_of"] = column.name
        elif reason is not None:
            draft.ignore(column, reason)
        elif draft.is_full(column):
            draft.ignore(column, "left out: a contract has a limit of features and of categories")
        else:
            draft.add(column)
    document["reading"] = (
        {"decimal": ","} if any(c.decimal_comma and c.kind != "ambiguous" for c in profiled.columns) else {}
    )
    few = [f["name"] for f in draft.features if len(f.get("categories", ())) in _SLICE_CATEGORIES]
    document["slices"] = few[:_SLICES]
    document["ignored"] = draft.ignored
    _note_duplicates(profiled, label, key, draft)
    return document


def _name(source: str) -> str:
    """The contract's name, after the file's."""
    words = snake_case(PurePosixPath(source).name.partition(".")[0]).removeprefix("column_").lstrip("_0123456789")
    return words.replace("_", "-") or "customers"


def _key(key: Column | None, draft: _Draft) -> dict[str, Any]:
    if key is None:
        draft.remarks.append("No column is a key: unique, and called like one. Name it with --id if there is one.")
        return {}
    if not key.unique:
        draft.remarks.append(f"{key.name} is blank or repeated in some rows: rows of one key count as one customer.")
    characters = set("".join(key.counts))
    outside = {c for c in characters if not (c.isascii() and c.isalnum())}
    symbols = {c for c in outside if not c.isalnum()}
    body: dict[str, Any] = _alias(key.name, "customer_id")
    if outside - symbols:
        body["letters"] = "unicode"
    if allowed := {c for c in symbols if c not in '_.-"\\' and c.isprintable()}:
        body["symbols"] = "_.-" + "".join(sorted(allowed))
    if (longest := max(map(len, key.counts), default=0)) > 64:  # noqa: PLR2004 - the default
        body["max_length"] = min(256, 2 * longest)
    draft.example["customer_id"] = "C0001"
    return body


def _alias(name: str, ours: str) -> dict[str, Any]:
    return {"aliases": [name]} if name != ours and nameable(name) else {}


def _label_rows(label: Column, source: str) -> npt.NDArray[np.bool_]:
    if len(label.counts) != 2:  # noqa: PLR2004 - churned and stayed
        values = counted(len(label.counts), "value", "values")
        shown = ", ".join(map(repr, list(label.counts)[:_SHOWN])) + (" ..." if len(label.counts) > _SHOWN else "")
        raise file_error(source, f"the label {label.name!r} has {values} ({shown})", "two values")
    return np.asarray(label.texts == churned_text(label)[0])


def _label(label: Column | None, draft: _Draft, churned: npt.NDArray[np.bool_] | None) -> dict[str, Any]:
    if label is None or churned is None:
        draft.remarks.append("No column is a label: two values, and called like one. Name it with --label to train.")
        return {}
    yes, sure = churned_text(label)
    (no,) = (text for text in label.counts if text != yes)
    left, rows = int(churned.sum()), len(churned)
    draft.remarks.append(
        f"{left / rows:.1%} of {rows:,} rows churned ({label.name} is {yes}), {rows - left:,} stayed ({no})."
    )
    if not sure:
        draft.comments[("label",)] = [f"Check this: {yes!r} was taken for 'churned' only because it is rarer."]
    words = {"churned": [yes], "stayed": [no]}
    return _alias(label.name, "churned") | {
        k: v for k, v in words.items() if v[0].lower() not in (*LABELS, "0.0", "1.0")
    }


def _note_duplicates(profiled: Profile, label: Column | None, key: Column | None, draft: _Draft) -> None:
    names = {c.name: c.texts for c in profiled.columns if c is not key and not is_row_number(c)}
    frame = pd.DataFrame(names)
    if repeated := int(frame.duplicated().sum()):
        draft.remarks.append(
            f"{repeated:,} rows repeat another row in everything but the key: are they real customers?"
        )
    if label is not None:
        features = frame.drop(columns=[label.name])
        contradicted = int(features.duplicated().sum()) - repeated
        if contradicted > 0:
            draft.remarks.append(f"{contradicted:,} rows are like another in all features, but not in the label.")


def _head(source: str, profiled: Profile, draft: _Draft) -> Sequence[str]:
    name = PurePosixPath(source).name
    rows = f"the first {MAX_ROWS:,} rows" if profiled.cut else f"{profiled.rows:,} rows"
    remarks = [f"Proposed from {rows} of {name}: read it, correct it, then run churn contract check.", *draft.remarks]
    return [*remarks, *profiled.notes]
