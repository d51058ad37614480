"""The load generator: vegeta, the same for every contender."""

from __future__ import annotations

import base64
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.errors import BenchError

VEGETA: Final = "v12.13.0"
_OK: Final = 200
DEFAULT_CONNECTIONS: Final = 64
"""Connections; enough for any constant rate that a server sustains."""


def ensure_vegeta(folder: Path) -> Path:
    """Return the path of the load generator, built with Go on first use.

    Raises:
        BenchError: it is missing and cannot be built.
    """
    binary = folder / f"vegeta-{VEGETA}"
    if binary.exists():
        return binary
    if (go := shutil.which("go")) is None:
        raise BenchError(
            f"the load generator vegeta {VEGETA} is built with Go: install Go 1.22 or later (https://go.dev/dl) and "
            f"run again, or put its binary at {binary}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(  # noqa: S603 - a fixed command
        [go, "install", f"github.com/tsenart/vegeta/v12@{VEGETA}"],
        env={**os.environ, "GOBIN": str(folder.resolve())},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise BenchError(f"vegeta {VEGETA} does not build: {built.stderr.strip()[-500:]}")
    (folder / "vegeta").rename(binary)
    return binary


def write_targets(path: Path, url: str, headers: Mapping[str, str], bodies: Iterable[bytes]) -> Path:
    """Write the requests that an attack repeats, in vegeta's JSON format; returns ``path``."""
    header = {name: [value] for name, value in headers.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for body in bodies:
            target = {"method": "POST", "url": url, "header": header, "body": base64.b64encode(body).decode()}
            file.write(json.dumps(target) + "\n")
    return path


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of an attack: each array has one entry per request.

    ``sent_s`` is the time of sending since the first request and ``latency_ms`` the time to the end of the answer;
    status 0 is a request without an answer. ``generator_busy`` is the generator's share of its core.
    """

    sent_s: npt.NDArray[np.float64]
    status: npt.NDArray[np.int64]
    latency_ms: npt.NDArray[np.float64]
    generator_busy: float

    @cached_property
    def accepted(self) -> npt.NDArray[np.bool_]:
        accepted: npt.NDArray[np.bool_] = self.status == _OK
        return accepted

    @property
    def failures(self) -> int:
        """Number of requests without an answer of 200."""
        return int((~self.accepted).sum())

    @property
    def seconds(self) -> float:
        """Seconds from the first request to the end of the last answer."""
        return float((self.sent_s + self.latency_ms / 1000).max())

    @property
    def rate(self) -> float:
        """Answers of 200 per second."""
        return float(self.accepted.sum() / self.seconds)

    @property
    def sent_rate(self) -> float:
        """Requests sent per second, over the time of sending."""
        return float((len(self.sent_s) - 1) / self.sent_s.max()) if len(self.sent_s) > 1 else 0.0

    def percentile_ms(self, percent: float) -> float:
        """Percentile of the latency of the requests answered with 200; infinite if there is none."""
        accepted = self.latency_ms[self.accepted]
        return float(np.percentile(accepted, percent)) if accepted.size else float("inf")

    @property
    def p95_ms(self) -> float:
        """The 95th percentile, see :meth:`percentile_ms`."""
        return self.percentile_ms(95)

    def counts(self) -> dict[int, int]:
        """Number of answers by status."""
        values, counts = np.unique(self.status, return_counts=True)
        return {int(v): int(c) for v, c in zip(values, counts, strict=True)}


def parse_results(csv: Path, *, generator_busy: float) -> Outcome:
    """Read vegeta's CSV: time of sending in ns since 1970, status, latency in ns, and columns that are not needed."""
    try:
        table = pd.read_csv(csv, header=None, usecols=[0, 1, 2], dtype="int64")
    except pd.errors.EmptyDataError:
        raise BenchError("the load generator sent nothing") from None
    sent = table[0].to_numpy()
    return Outcome(
        sent_s=(sent - sent.min()) / 1e9,
        status=table[1].to_numpy(),
        latency_ms=table[2].to_numpy() / 1e6,
        generator_busy=generator_busy,
    )


@dataclass(frozen=True, kw_only=True)
class _Sent:
    results: Path
    generator_busy: float


class Generator:
    """Runs attacks; ``work`` is a folder for their results. The generator runs on the core of this process."""

    def __init__(self, binary: Path, work: Path) -> None:
        self._binary = binary
        self._work = work
        self._work.mkdir(parents=True, exist_ok=True)

    def closed(self, targets: Path, *, seconds: float, connections: int) -> Outcome:
        """Run a closed loop: every connection sends its next request as soon as it has its answer."""
        return self._read(self._send("closed", targets, rate=0, seconds=seconds, connections=connections))

    def constant(
        self, targets: Path, *, rate: float, seconds: float, connections: int = DEFAULT_CONNECTIONS
    ) -> Outcome:
        """Send requests at a constant rate, as long as no more than ``connections`` of them wait for an answer."""
        return self._read(self._send("constant", targets, rate=rate, seconds=seconds, connections=connections))

    def then_constant(
        self, targets: Path, *, rate: float, seconds: float, connections: int, then_rate: float, then_seconds: float
    ) -> tuple[Outcome, Outcome]:
        """Send at one constant rate and at once at another: the results are only read afterwards."""
        first = self._send("first", targets, rate=rate, seconds=seconds, connections=connections)
        second = self._send("second", targets, rate=then_rate, seconds=then_seconds, connections=DEFAULT_CONNECTIONS)
        return self._read(first), self._read(second)

    def _send(self, name: str, targets: Path, *, rate: float, seconds: float, connections: int) -> _Sent:
        """Send for ``seconds``; a rate of 0 is a closed loop."""
        results = self._work / f"{name}.bin"
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self._run(attack_options(targets, results, rate=rate, seconds=seconds, connections=connections))
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return _Sent(results=results, generator_busy=used / wall)

    def _read(self, sent: _Sent) -> Outcome:
        csv = sent.results.with_suffix(".csv")
        self._run(["encode", "--to=csv", f"--output={csv}", str(sent.results)])
        return parse_results(csv, generator_busy=sent.generator_busy)

    def _run(self, arguments: Sequence[str]) -> None:
        done = subprocess.run(  # noqa: S603 - the load generator
            [str(self._binary), *arguments],
            env={**os.environ, "GOMAXPROCS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"vegeta {arguments[0]} failed: {done.stderr.strip()[-500:]}")


def attack_options(targets: Path, results: Path, *, rate: float, seconds: float, connections: int) -> list[str]:
    """Arguments of ``vegeta``, the same for every contender."""
    return [
        "attack", "-format=json", f"-targets={targets}", f"-output={results}",
        f"-rate={round(rate)}", f"-duration={seconds:g}s",
        f"-workers={connections}", f"-max-workers={connections}", f"-max-connections={connections}",
        "-keepalive", "-http2=false", "-redirects=-1", "-max-body=0", "-timeout=30s",
    ]  # fmt: skip
