"""The layers of the packages: import-linter accepts the code as it is, and sees an import that breaks a rule."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.paths import ROOT

PACKAGES: Final = ("app", "benchmarks", "dashboards", "infra", "ops", "training")
FORBIDDEN: Final = {
    "packages": ("app/names.py", "import training.config", "app is not allowed to import training"),
    "operations": ("ops/backup/manifest.py", "import ops.cli.options", "ops.backup is not allowed to import ops.cli"),
    "circles": ("app/settings.py", "import app.security", "No cycles are allowed in app."),
    "request-path": ("app/names.py", "import pandas", "app is not allowed to import pandas"),
    "rotation": ("ops/jobs/rotation/options.py", "import app.names", "ops.jobs.rotation is not allowed to import app"),
}
"""For each contract, a file, an import that the contract forbids there, and what the report then says."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the packages and of the contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    options = [part for contract in contracts for part in ("--contract", contract)]
    return subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_the_code_keeps_every_contract(checkout: Path) -> None:
    result = lint_imports(checkout)
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(FORBIDDEN)} kept, 0 broken." in result.stdout, "each contract is shown to fail below"


@pytest.mark.parametrize("contract", FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(checkout: Path, contract: str) -> None:
    file, statement, reason = FORBIDDEN[contract]
    with (checkout / file).open("a", encoding="utf-8") as module:
        module.write(f"{statement}\n")
    result = lint_imports(checkout, contract)
    assert result.returncode == 1, result.stdout
    assert "Contracts: 0 kept, 1 broken." in result.stdout
    assert reason in result.stdout
