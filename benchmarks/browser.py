"""A headless Chromium driven over the WebDriver protocol, for pictures of web pages."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from PIL import Image

from benchmarks.errors import BenchError
from ops.local.ports import LOOPBACK, free_port

WIDTH: Final = 1400
"""Size of every picture, in pixels."""
_FIRST_PORT: Final = 9515
_START_SECONDS: Final = 30.0
_PAGE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.25
_COLOURS: Final = 256
_OPTIONS: Final = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no page may contact another host
    "--headless=new",
    "--hide-scrollbars",
    "--disable-gpu",
    "--force-device-scale-factor=1",
    "--lang=en",
)


class Browser:
    """One browser window."""

    def __init__(self, session_url: str) -> None:
        self._session_url = session_url
        self._client = httpx.Client(timeout=_PAGE_SECONDS, trust_env=False)

    def open(self, url: str, *, shows: str) -> None:
        """Load a page afresh and wait until its text contains ``shows``.

        Raises:
            BenchError: it does not within a minute; the message holds the beginning of the page's text.
        """
        self._ask("POST", "url", {"url": "about:blank"})  # only another address of the same page would load nothing
        self._ask("POST", "url", {"url": url})
        self.wait_for(shows)

    def wait_for(self, text: str) -> None:
        """Wait until the page shows a text."""
        deadline = time.monotonic() + _PAGE_SECONDS
        while text not in (seen := self.run("return document.body ? document.body.innerText : ''")):
            if time.monotonic() > deadline:
                raise BenchError(f"the page never showed {text!r}; it says: {seen[:300]!r}")
            time.sleep(_POLL_SECONDS)

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page, and return its result."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def click(self, text: str) -> None:
        """Click the link, button or tab with exactly this text.

        Raises:
            BenchError: the page has none.
        """
        visible = self.run(
            "const all = [...document.querySelectorAll('a, button, [role=tab]')];"
            "const one = all.find(e => e.innerText && e.innerText.trim() === arguments[0]);"
            "if (one) { one.click(); } return Boolean(one);",
            text,
        )
        if not visible:
            raise BenchError(f"the page has no link, button or tab {text!r}")

    def remember(self, values: Mapping[str, str]) -> None:
        """Store values in the browser, where the pages of the current site store what their reader chose."""
        for name, value in values.items():
            self.run("localStorage.setItem(arguments[0], arguments[1])", name, value)

    def picture(self, path: Path, *, height: int) -> None:
        """Save the top ``height`` pixels of the window as a PNG of at most 256 colours."""
        frame = int(self.run("return window.outerHeight - window.innerHeight"))
        self._ask("POST", "window/rect", {"width": WIDTH, "height": height + frame})
        time.sleep(2)  # wait for animations to end and images to arrive
        image = Image.open(io.BytesIO(base64.b64decode(self._ask("GET", "screenshot"))))
        path.parent.mkdir(parents=True, exist_ok=True)
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        answer = self._client.request(method, f"{self._session_url}/{path}", json=body)
        value = answer.json()["value"]
        if not answer.is_success:
            raise BenchError(f"the browser refused {path}: {str(value.get('message'))[:300]}")
        return value

    def close(self) -> None:
        """End the session, and the browser with it.

        Raises:
            HTTPStatusError: the driver did not end it, so the browser still runs.
        """
        try:
            self._client.delete(self._session_url).raise_for_status()
        finally:
            self._client.close()


@contextmanager
def browser(*options: str) -> Iterator[Browser]:
    """Start a separate browser with further command-line options, which is stopped at the end.

    Raises:
        BenchError: Chromium or its driver is not installed, or does not start.
    """
    driver = shutil.which("chromedriver")
    if driver is None:
        raise BenchError("chromedriver is not installed (on Debian: apt install chromium chromium-driver)")
    port = free_port(_FIRST_PORT)
    with subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - found above, without a shell
        try:
            window = Browser(_session(f"http://{LOOPBACK}:{port}", options))
            try:
                yield window
            finally:
                window.close()
        finally:
            process.terminate()


def _session(driver_url: str, more: Sequence[str]) -> str:
    """URL of a new session, once the driver answers."""
    # Chromium refuses to use its sandbox as root, and containers run as root.
    options = [*_OPTIONS, f"--window-size={WIDTH},1000", *(["--no-sandbox"] if os.geteuid() == 0 else []), *more]
    request = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": options}}}}
    answer = _once_up(lambda: httpx.post(f"{driver_url}/session", json=request, timeout=_PAGE_SECONDS, trust_env=False))
    value = answer.json()["value"]
    if not answer.is_success:
        raise BenchError(f"Chromium does not start: {str(value.get('message'))[:300]}")
    return f"{driver_url}/session/{value['sessionId']}"


def _once_up(ask: Callable[[], httpx.Response]) -> httpx.Response:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return ask()
        except httpx.ConnectError as error:
            if time.monotonic() > deadline:
                raise BenchError(f"chromedriver does not answer within {_START_SECONDS:g} s") from error
            time.sleep(_POLL_SECONDS)
