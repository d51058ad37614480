"""Facts about the machine that a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.errors import BenchError

MIB = 1024 * 1024
_CORES_NEEDED = 2


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine; ``memory_gib`` is physical memory."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    system: str
    python: str
    date: str


@dataclass(frozen=True, kw_only=True)
class Cores:
    """The two cores: one for the measured server, the other for the load generator and everything else."""

    server: int
    load: int


def cpu_model(cpuinfo: str) -> str:
    """Read the processor's name from /proc/cpuinfo, with family and model if the name alone says little."""
    fields: dict[str, str] = dict(re.findall(r"^([a-zA-Z ]+?)\s*:\s*(.+)$", cpuinfo, flags=re.MULTILINE))
    name = fields.get("model name", "unknown")
    if "cpu family" in fields and "model" in fields:
        return f"{name} (family {fields['cpu family']}, model {fields['model']})"
    return name


def describe() -> Machine:
    """Describe this machine."""
    return Machine(
        cpu=cpu_model(Path("/proc/cpuinfo").read_text(encoding="utf-8")),
        cores=os.cpu_count() or 0,
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3,
        kernel=f"{platform.system()} {platform.release()}",
        system=platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def take_cores() -> Cores:
    """Choose the two cores, and pin this process (and so the load generator) to its own.

    Raises:
        BenchError: not Linux, or fewer than two usable cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise BenchError("the benchmark pins processes to cores, which needs Linux")
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < _CORES_NEEDED:
        raise BenchError("the benchmark needs two cores: one for the server, one for the load generator")
    cores = Cores(server=usable[0], load=usable[1])
    os.sched_setaffinity(0, {cores.load})
    return cores
