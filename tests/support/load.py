"""A load of predictions at a constant rate through the edge, sent by vegeta, and the outcome of each request."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.tools import go_tool

STARTED_SECONDS = 1
MOST_SECONDS = 900
"""After this time an attack ends by itself."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All requests of an attack."""

    requests: int
    codes: dict[str, int]
    """Requests by status; 0 means no answer."""
    errors: list[str]
    p95_ms: float
    throughput: float

    @property
    def failed(self) -> int:
        return self.requests - self.codes.get("200", 0)


class Load:
    """``with Load(...) as load:`` sends from a separate process; ``load.report`` is there after the block.

    An open loop over persistent connections to loopback: the URL's host is used only in TLS and in the request.
    """

    report: Report

    def __init__(
        self,
        folder: Path,
        *,
        url: str,
        address: str,
        certificate: Path,
        headers: dict[str, str],
        body: dict[str, Any],
        rate: int,
    ) -> None:
        self._vegeta = go_tool("vegeta", "load")
        folder.mkdir(parents=True, exist_ok=True)
        self._results = folder / "results.bin"
        (folder / "body.json").write_text(json.dumps(body))
        lines = [f"POST {url}", *(f"{key}: {value}" for key, value in headers.items()), f"@{folder / 'body.json'}"]
        targets = folder / "targets"
        targets.write_text("\n".join([*lines, ""]))
        targets.chmod(0o600)  # it holds the key
        host = url.removeprefix("https://").partition("/")[0]
        self._command = [
            str(self._vegeta), "-cpus=1", "attack", f"-targets={targets}", f"-rate={rate}",
            f"-duration={MOST_SECONDS}s", f"-root-certs={certificate}", f"-connect-to={host}:443:{address}",
            "-timeout=15s", "-http2=false", "-workers=8", "-max-workers=256", "-connections=64",
            f"-output={self._results}",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        time.sleep(STARTED_SECONDS)
        assert self._process.poll() is None, "vegeta ended at once: see what it printed"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        # After one signal vegeta stops sending and waits for outstanding answers.
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.report = self._report()

    def _report(self) -> Report:
        done = subprocess.run(
            [self._vegeta, "report", "-type=json", self._results], capture_output=True, text=True, check=True
        )
        report = json.loads(done.stdout)
        return Report(
            requests=report["requests"],
            codes=report["status_codes"],
            errors=report["errors"] or [],
            p95_ms=report["latencies"]["95th"] / 1e6,
            throughput=report["throughput"],
        )
