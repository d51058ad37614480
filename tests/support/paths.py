"""Folders of the repository that tests refer to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The root of the repository."""
TOOLS: Final = ROOT / "tests" / "tools"
"""Lock files of the programs that tests build."""


def cache_folder() -> Path:
    """Return the folder in which tests keep what is costly to make: programs, and recordings of stacks."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "churn-tools"
