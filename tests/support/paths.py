"""Folders of the repository that tests refer to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The repository."""
TOOLS: Final = ROOT / "tests" / "tools"
"""Pinned programs that tests build."""
