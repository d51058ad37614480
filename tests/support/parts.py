"""Tables in parts to score, and a model for them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

import pandas as pd
from support.bundles import make_bundle

from training.generate import write
from training.score import ModelFolder
from training.truth import GeneratorConfig

ROWS: Final = 300
"""Rows of each part."""


def model_in(folder: Path) -> ModelFolder:
    """A model of the built-in contract, as version 7."""
    make_bundle(folder)
    return ModelFolder(folder, version="7")


def table_in_parts(folder: Path) -> Path:
    """A table in three parts, one of them packed, one in a folder."""
    for number, name in enumerate(("a.csv", "b.csv", "deep/a.csv")):
        write(GeneratorConfig(rows=ROWS, seed=number), folder / name)
    pack(folder / "b.csv")
    return folder


def pack(path: Path) -> None:
    """Replace a file by one that is gzip-compressed."""
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def spoil(folder: Path) -> None:
    """Make a value of the last part wrong."""
    path = folder / "deep/a.csv"
    pd.read_csv(path, keep_default_na=False).assign(gender="X").to_csv(path, index=False)
