"""Parquet files with one column as another program writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def with_column(path: Path, frame: pd.DataFrame, column: str, change: Callable[[pa.Array], pa.Array]) -> str:
    """Write a frame with a changed column, and return the path as text."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, column, change(table[column].combine_chunks())), path)
    return str(path)
