"""Shared by all groups of measurements: the contenders, started and checked, and the requests for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import traffic
from benchmarks.contender import Contender, Route
from benchmarks.errors import BenchError
from benchmarks.load import Generator, write_targets
from benchmarks.machine import Cores
from benchmarks.model import Served
from benchmarks.plan import BATCH_ROWS, BATCHES, SINGLE_CUSTOMERS, Plan
from benchmarks.processes import Server, post
from benchmarks.traffic import CustomerJson
from ops.local.ports import free_port

_FIRST_PORT: Final = 18_100
_PORT_STEP: Final = 10
"""A server may also take the ports after its own (MLServer takes three)."""
_CHECKED: Final = 20
TOLERANCE: Final = 1e-5


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One run of the benchmark.

    ``expected`` has the native model's score of each of ``customers``; ``problems`` says why a contender did not
    install or start.
    """

    plan: Plan
    cores: Cores
    generator: Generator
    served: Served
    contenders: Sequence[Contender]
    customers: Sequence[CustomerJson]
    expected: Sequence[float]
    work: Path
    say: Callable[[str], None]
    problems: dict[str, str] = field(default_factory=dict)

    def usable(self) -> list[Contender]:
        """The contenders that have installed and started so far; ``problems`` says why the others have not."""
        return [c for c in self.contenders if c.name not in self.problems]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started contender and its requests."""

    contender: Contender
    server: Server
    single: Path
    batch: Path | None


def bodies(route: Route, customers: Sequence[CustomerJson], rows: int, limit: int) -> Iterator[bytes]:
    """Build at most ``limit`` bodies of ``rows`` customers each, no customer twice."""
    for start in range(0, min(limit * rows, len(customers) - rows + 1), rows):
        yield route.body(customers[start : start + rows])


def start(bench: Bench, contender: Contender, place: int = 0) -> tuple[Server, str, float]:
    """Start a contender on the measured core, and wait until it predicts.

    Returns:
        The server, its address, and the seconds from the start of the process to its first correct answer.
    """
    port = free_port(_FIRST_PORT + _PORT_STEP * place)
    slug = "".join(c if c.isalnum() else "-" for c in contender.name.lower())
    server = Server(
        contender.name,
        contender.command(port),
        contender.environment(port),
        core=bench.cores.server,
        log=bench.work / "logs" / f"{slug}.log",
    )
    url = f"http://127.0.0.1:{port}"
    try:
        body = contender.single.body(bench.customers[:1])
        return server, url, server.wait_ready(url + contender.single.path, body, contender.headers)
    except BaseException:
        server.stop()
        raise


def give_up(bench: Bench, contender: Contender, error: BenchError) -> None:
    """Continue without a peer; raise the error again for one of our own servers."""
    if contender.kind != "peer":
        raise error
    bench.problems[contender.name] = str(error)
    bench.say(f"continuing without {contender.name}: {error}")


def check_scores(bench: Bench, contender: Contender, url: str) -> None:
    """Check that a server returns the registered model's scores, singly and in a batch.

    Raises:
        BenchError: it does not.
    """
    sizes = [(contender.single, 1, _CHECKED)]
    if contender.batch:
        sizes.append((contender.batch, _CHECKED, 1))
    for route, rows, count in sizes:
        if route.scores is None:
            continue
        got: list[float] = []
        for body in bodies(route, bench.customers, rows, count):
            status, answer = post(url + route.path, body, contender.headers)
            if status != 200:  # noqa: PLR2004 - OK
                raise BenchError(f"{contender.name} answered {status} to {route.path}: {answer[:300]!r}")
            got += route.scores(json.loads(answer))
        worst = max(abs(a - b) for a, b in zip(got, bench.expected[:_CHECKED], strict=True))
        if worst > TOLERANCE:
            raise BenchError(f"{contender.name} serves another model: a score at {route.path} is off by {worst:.2g}")


@contextmanager
def running(bench: Bench, contenders: Sequence[Contender]) -> Iterator[list[Running]]:
    """Start contenders, check their scores and freeze them; all are stopped at the end.

    A peer that does not start is left out and noted in ``bench.problems``.
    """
    with ExitStack() as stack:
        started = []
        for place, contender in enumerate(contenders):
            bench.say(f"starting {contender.name}")
            try:
                server, url, _ = start(bench, contender, place)
            except BenchError as error:
                give_up(bench, contender, error)
                continue
            stack.enter_context(server)
            check_scores(bench, contender, url)
            single, batch = _write_targets(bench, contender, url, place)
            started.append(Running(contender=contender, server=server, single=single, batch=batch))
            server.freeze()
        yield started


def _write_targets(bench: Bench, contender: Contender, url: str, place: int) -> tuple[Path, Path | None]:
    folder = bench.work / "targets"
    singles = bodies(contender.single, bench.customers, 1, SINGLE_CUSTOMERS)
    single = write_targets(folder / f"{place}-single.json", url + contender.single.path, contender.headers, singles)
    if contender.batch is None:
        return single, None
    batches = bodies(contender.batch, bench.customers, BATCH_ROWS, BATCHES)
    batch = write_targets(folder / f"{place}-batch.json", url + contender.batch.path, contender.headers, batches)
    return single, batch


def customers() -> list[CustomerJson]:
    """The customers of all requests: enough for every batch."""
    return traffic.customers(BATCH_ROWS * BATCHES)
