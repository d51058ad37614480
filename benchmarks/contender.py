"""The description of a contender: a server, how to start it, and how to query it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from app.names import NO_TELEMETRY
from benchmarks.model import Served
from benchmarks.traffic import CustomerJson

JSON_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json"}
ONE_THREAD: Final[Mapping[str, str]] = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
SERVE: Final = "benchmarks.serve"
"""Package that holds the programs of the servers."""
ROOT: Final = Path(__file__).parent.parent
API: Final = "this API"
CONSTANT: Final = "FastAPI, constant answer"
ASGI: Final = "bare ASGI, constant answer"
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Route:
    """The path of predictions, how customers are sent there, and how to read the scores from the answer."""

    path: str
    body: Callable[[Sequence[CustomerJson]], bytes]
    scores: Callable[[Any], list[float]] | None = None


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One server to measure.

    ``setup`` describes its configuration, and ``problem`` says why it did not install. A ``variant`` is a second
    configuration of a peer, measured for single predictions only.
    """

    name: str
    kind: Literal["api", "peer", "baseline"]
    setup: str
    single: Route
    batch: Route | None = None
    command: Callable[[int], list[str]]
    env: Callable[[int], Mapping[str, str]] = field(default=lambda _: {})
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)
    versions: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    variant: bool = False

    def environment(self, port: int) -> dict[str, str]:
        """The complete environment of its process."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
        return {**inherited, **ONE_THREAD, **NO_TELEMETRY, **self.env(port)}


def native_env(served: Served) -> dict[str, str]:
    """Environment in which :mod:`benchmarks.serve.native` finds the model."""
    return {"BENCH_SKOPS": str(served.skops), "BENCH_TRUSTED": ",".join(served.trusted)}
