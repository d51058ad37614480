"""The text of docs/performance.md that surrounds the figures."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from string import Template
from typing import Final

from benchmarks import plan, report
from benchmarks.load import VEGETA, attack_options
from benchmarks.results import Results

_PORT: Final = 18_100
_LEFT_OUT: Final = frozenset({"PATH", "PYTHONPATH", "BENCH_SKOPS", "BENCH_TRUSTED", "BENCH_ONNX"})
"""Folder of programs, packages and the model."""
_NOT_MEASURED: Final = "Not measured in this run."

_TEXT: Final = Template("""\
# Performance

Written by `make bench` on $date, in $minutes minutes; no figure or verdict is typed by hand. The targets, and whether
they were met, are [further down](#targets).
$quick
$machine

## Single predictions

$connections keep-alive connections in a closed loop for $closed s, median of $rounds interleaved rounds. "ratio" is the
rate of this API divided by that of the row. Then a constant rate for $probe s; "-" means over capacity. "generator" is
the load generator's highest share of its core in a closed loop; the bare ASGI row shows how much it can send.

$single

## Batches of $batch_rows

$batch_connections request at a time, so rows/s are those of one busy caller and p95 is the time that a batch takes.
Median of $rounds interleaved rounds of $batch_seconds s.

$batch

## Start and memory

Time from the start of the process to its first correct prediction, median of $starts interleaved starts with the files
in the page cache. Memory is the resident memory of all processes of a server together (a shared page counts in each);
"after load" is after $closed s of single predictions and $batch_seconds s of batches in closed loops.

$start

## Overload

The generator offers $overload_factor x the closed loop's rate at a constant pace over at most $overload_connections
connections; while all of them wait for an answer, it waits too. Immediately afterwards it sends $normal_rate
requests/s.

$overload

## How it is measured

- One server at a time has the first core (`taskset`) and one thread for numerical libraries (OMP_NUM_THREADS=1,
  OPENBLAS_NUM_THREADS=1, MKL_NUM_THREADS=1). The load generator and the model registry have the second core.
  Meanwhile all other servers are stopped with SIGSTOP.
- All serve one registered model: `churn train` on generated customers, promoted in an MLflow server of this run. Each
  server's scores of 20 customers, singly and in a batch, are compared with scikit-learn's before it is measured.
- The peers load the version's native skops model and do what their users would write: JSON to a pandas frame to
  `predict_proba`, in [benchmarks/serve](../benchmarks/serve). Their releases are pinned with hashes in
  [benchmarks/peers](../benchmarks/peers), each in its own environment.
- This API scores single customers that wait at the same moment in one call. BentoML, MLServer and LitServe can be
  configured to do so too: see the rows "batching requests". The targets compare servers in their default configuration.
- The load repeats $singles distinct customers and $batches distinct batches, none of them in the training data.
- Load: vegeta $vegeta on one core (GOMAXPROCS=1), the same for every server.

$setups

```
$commands
```

## Targets

$targets
""")


def commands(results: Results, root: Path) -> str:
    """The command that starts each contender, with its own settings; paths are relative to ``root``."""

    def shown(word: str) -> str:
        return word.replace(sys.executable, "python").replace(f"{root}/", "").replace(str(root), ".")

    lines = []
    for contender in results.contenders:
        env = {name: shown(value) for name, value in contender.env(_PORT).items() if name not in _LEFT_OUT}
        words = [f"{name}={shlex.quote(value)}" for name, value in env.items()]
        lines.append(f"# {contender.name}\n{' '.join([*words, shlex.join(map(shown, contender.command(_PORT)))])}")
    attack = attack_options(
        Path("TARGETS"), Path("RESULTS"), rate=0, seconds=results.plan.closed_seconds, connections=plan.CONNECTIONS
    )
    lines.append(f"# load in a closed loop; a constant rate stands in -rate\n{shlex.join(['vegeta', *attack])}")
    return "\n".join(lines)


def document(results: Results, root: Path) -> str:
    """Write docs/performance.md; ``root`` is the project's folder, which the text does not name."""
    machine, durations = results.machine, results.plan
    facts = [
        ("processor", machine.cpu),
        ("cores", str(machine.cores)),
        ("memory", f"{machine.memory_gib:.0f} GiB"),
        ("kernel", machine.kernel),
        ("system", machine.system),
        ("Python", machine.python),
    ]
    return _TEXT.substitute(
        date=machine.date,
        minutes=f"{results.seconds / 60:.0f}",
        quick="\n**A quick run: its rounds are too short to quote.**\n" if results.quick else "",
        machine=report.table(("Machine", ""), facts),
        connections=plan.CONNECTIONS,
        closed=f"{durations.closed_seconds:g}",
        rounds=durations.rounds,
        probe=f"{durations.probe_seconds:g}",
        single=report.single(results) or _NOT_MEASURED,
        batch_rows=f"{plan.BATCH_ROWS:,}",
        batch_connections=plan.BATCH_CONNECTIONS,
        batch_seconds=f"{durations.batch_seconds:g}",
        batch=report.batch(results) or _NOT_MEASURED,
        starts=durations.starts,
        start=report.start(results) or _NOT_MEASURED,
        overload_factor=plan.OVERLOAD,
        overload_connections=plan.OVERLOAD_CONNECTIONS,
        normal_rate=plan.PROBE_RATES[0],
        overload=report.overload(results) or _NOT_MEASURED,
        singles=plan.SINGLE_CUSTOMERS,
        batches=plan.BATCHES,
        vegeta=VEGETA,
        setups=report.setups(results),
        commands=commands(results, root),
        targets=report.targets(results),
    )
