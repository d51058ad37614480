"""Folders of the repository that tests refer to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The root of the repository."""
TOOLS: Final = ROOT / "tests" / "tools"
"""Lock files of the programs that tests build."""
