"""The pictures of docs/pictures.md, and what a terminal shows in one of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.browser import WIDTH
from benchmarks.pictures import FOLDER, on_terminal

PICTURES = sorted(FOLDER.glob("*.png"))
DISPLAY = r"""
import sys
print("before")
print("\x1b[1mfit\x1b[0m   0 %")
sys.stdout.write("\r\x1b[1A\x1b[2K\x1b[1mfit\x1b[0m 100 %\n")
print("Registered", sys.stdout.isatty())
"""


def test_a_terminal_shows_what_was_not_overwritten(tmp_path: Path) -> None:
    shown = on_terminal([sys.executable, "-c", DISPLAY], tmp_path, dict(os.environ))[-1]
    assert shown == "\x1b[1mfit\x1b[0m 100 %\nRegistered True\n"


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_shown_on_the_page_and_loads_quickly(path: Path) -> None:
    assert f"(pictures/{path.name})" in (FOLDER.parent / "pictures.md").read_text(encoding="utf-8")
    assert path.stat().st_size < 250_000
    with Image.open(path) as image:
        assert image.width == WIDTH
