"""Small generated files for the tests of training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.foreign_models import Elsewhere, customers

from training.generate import write
from training.truth import GeneratorConfig


@pytest.fixture(scope="session")
def customers_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 generated customers; read, never written to."""
    path = tmp_path_factory.mktemp("customers") / "customers.csv"
    write(GeneratorConfig(rows=300, missing_total_share=0.1), path)
    return path


@pytest.fixture
def table(customers_csv: Path) -> pd.DataFrame:
    """The same customers as text, for tests to change; row i of the file is index i - 1."""
    return pd.read_csv(customers_csv, dtype=str, keep_default_na=False)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """Customers of the bank whose models are trained elsewhere."""
    return customers(tmp_path_factory.mktemp("elsewhere"))
