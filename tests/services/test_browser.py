"""The browser that draws the pictures of the documentation, against pages of our own."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
from PIL import Image
from support.tools import missing

from benchmarks import browser as module
from benchmarks.browser import Browser, browser
from benchmarks.errors import BenchError

pytestmark = pytest.mark.service


@pytest.fixture(autouse=True)
def _driver() -> None:
    if shutil.which("chromedriver") is None:
        missing("chromedriver is not installed")


PAGE = """<button onclick="document.body.innerText = 'clicked'">go</button>"""


def children() -> set[psutil.Process]:
    """A driver that this process started, and its browser."""
    return set(psutil.Process().children(recursive=True))


@pytest.fixture
def page(tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    path.write_text(PAGE, encoding="utf-8")
    return path.as_uri()


def test_it_opens_clicks_and_draws(page: str, tmp_path: Path) -> None:
    with browser() as window:
        window.open(page, shows="go")
        window.click("go")
        window.wait_for("clicked")
        window.picture(tmp_path / "picture.png", height=321)
        with pytest.raises(BenchError, match="no link, button or tab 'stop'"):
            window.click("stop")
    with Image.open(tmp_path / "picture.png") as image:
        assert image.size == (module.WIDTH, 321)
        assert image.mode == "P"


def test_no_process_outlives_it(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE_SECONDS", 3.0)
    before = children()
    started: set[psutil.Process] = set()

    def fail(window: Browser) -> None:
        window.open(page, shows="go")
        started.update(children() - before)
        window.wait_for("what is not there")

    with pytest.raises(BenchError, match="never showed 'what is not there'; it says: 'go'"), browser() as window:
        fail(window)
    assert len(started) > 1
    _, alive = psutil.wait_procs(started, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
