"""The number of threads that numerical libraries may start.

A library that counts the machine's cores inside a container, or on a machine shared with others, starts more threads
than there are CPUs for it; they then spin while they wait for each other. The same fit took 0.3 s with the right count
and 39 s without it. So the count is set from what is really available, before the libraries load.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

OPENMP: Final = "OMP_NUM_THREADS"
BLAS: Final = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Linear algebra stays on one thread: our matrices are thin (45 columns), and a second thread mostly waits."""


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(cgroup: Path) -> float | None:
    """CPU quota in CPUs (cgroup v2 ``cpu.max``, else v1 ``cpu.cfs_*``), or None without one."""
    try:
        if (unified := cgroup / "cpu.max").is_file():
            limit, period = unified.read_text().split()
        else:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        return None if limit in {"max", "-1"} else int(limit) / int(period)
    except (OSError, ValueError):
        return None  # no cgroup, or a file in another format: the affinity alone decides


def available_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs this process may really use: its affinity, cut by the cgroup's CPU quota; at least 1.

    A quota of 1.5 CPUs counts as 1: a thread that is throttled half of the time holds up all others.
    """
    quota = _quota(cgroup)
    return max(1, _affinity() if quota is None else min(_affinity(), int(quota)))


def openmp_threads(environ: Mapping[str, str] = os.environ) -> int:
    """Number of OpenMP threads that the environment states, else 1; for libraries that take it as an argument."""
    count = environ.get(OPENMP, "").split(",")[0]
    return int(count) if count.isdigit() and int(count) > 0 else 1


def limit_threads(environ: MutableMapping[str, str] = os.environ) -> int:
    """Set the thread counts for libraries not loaded yet, and for those that are.

    An ``OMP_NUM_THREADS`` that the operator set stays. Waiting threads sleep instead of spinning, so that a busy
    neighbour costs its share and not a hundred times that.

    Returns:
        the number of OpenMP threads.
    """
    environ.setdefault(OPENMP, str(available_cpus()))
    environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in BLAS:
        environ.setdefault(name, "1")
    threads = openmp_threads(environ)
    if "numpy" in sys.modules:  # too late for the environment: tell the loaded libraries themselves
        # Imported here: earlier, it would load a library before the counts are set.
        import threadpoolctl  # type: ignore[import-untyped]  # noqa: PLC0415  # published without types; see above

        threadpoolctl.threadpool_limits({"openmp": threads, "blas": 1})
    return threads
