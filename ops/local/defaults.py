"""Defaults of the embedded platform: plain values, so that the help of a command reads them at no cost."""

from __future__ import annotations

from typing import Final

API_PORT: Final = 8000
MLFLOW_PORT: Final = 5000
SAMPLE_ROWS: Final = 10_000
"""Customers of the sample data."""
SAMPLE_SEED: Final = 7
