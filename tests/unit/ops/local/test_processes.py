from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ops.local.processes import ProcessGroup, ServiceDiedError

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
# Like `mlflow server`: a process that starts the one that works, and does not pass signals on.
GRANDCHILD = [
    sys.executable, "-S", "-c",
    "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])",
]  # fmt: skip
STUBBORN = [
    sys.executable, "-S", "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]  # fmt: skip


def alive(process: psutil.Process) -> bool:
    # A grandchild that ended stays a zombie until init looks, which is no business of ours.
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def wait_until(condition: object, what: str) -> None:
    assert callable(condition)
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"never came: {what}")


def group_of(pid: int) -> list[psutil.Process]:
    """Living processes in the same process group."""
    group = os.getpgid(pid)
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and alive(process):
                members.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


def test_stop_ends_children_and_grandchildren(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as processes:
        service = processes.start("server", GRANDCHILD, os.environ)
        wait_until(lambda: psutil.Process(service.process.pid).children(), "the grandchild")
        members = group_of(service.process.pid)
        assert len(members) == 3  # watchdog, child, grandchild
    wait_until(lambda: not any(map(alive, members)), "their end")


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path, grace_seconds=0.2) as processes:
        service = processes.start("server", STUBBORN, os.environ)
        wait_until(lambda: service.log.read_text() == "deaf\n", "the handler")
    assert service.process.returncode == -signal.SIGKILL


def test_a_server_that_ends_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as processes:
        processes.start("healthy", SLEEP, os.environ)
        processes.start("broken", [sys.executable, "-c", "print('first'); raise SystemExit('no disk')"], os.environ)
        with pytest.raises(ServiceDiedError, match=r"broken ended with exit code 1(?s:.)*broken\.log(?s:.)*no disk"):
            processes.wait(lambda: False, timeout_seconds=30)


def test_a_killed_server_is_named_with_its_signal(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as processes:
        service = processes.start("server", SLEEP, os.environ)
        service.process.kill()
        with pytest.raises(ServiceDiedError, match="server ended by SIGKILL"):
            processes.wait(lambda: False, timeout_seconds=30)


def test_run_gives_the_exit_code(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as processes:
        assert processes.run([sys.executable, "-S", "-c", "raise SystemExit(3)"], os.environ) == 3


def test_a_wait_that_takes_too_long_says_so(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as processes:
        assert not processes.wait(lambda: False, timeout_seconds=0)


def test_sigkill_of_the_parent_leaves_nobody(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, time\n"
        "from ops.local.processes import ProcessGroup\n"
        f"group = ProcessGroup(pathlib.Path({str(tmp_path)!r}), grace_seconds=0.2)\n"
        f"print(group.start('server', {GRANDCHILD!r}, os.environ).process.pid, flush=True)\n"
        f"group.start('deaf', {STUBBORN!r}, os.environ)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        wait_until(lambda: len(group_of(child)) == 4, "watchdog, server, its child and the deaf one")
        members = group_of(child)
        parent.kill()
    wait_until(lambda: not any(map(alive, members)), "their end")
