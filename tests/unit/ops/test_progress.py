"""Progress: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console
from support.paths import ROOT

from ops import progress
from ops.console import Output

PROGRAM = """
import time
from ops.console import Output
output = Output()
with output.counted("Scoring") as step:
    for done in range(1, 5):
        step(done * 250_000, done / 4)
        time.sleep(0.25)
with output.waiting("Starting MLflow"):
    time.sleep(0.3)
output.say("Wrote 1,000,000 scores")
"""


def on_a_terminal(program: str, columns: int = 100) -> str:
    """What a program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment
    ) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert running.returncode == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_sees_a_bar_with_rate_and_time_left(columns: int) -> None:
    shown = on_a_terminal(PROGRAM, columns)
    assert "\x1b[" in shown, "the bar is drawn over itself"
    assert re.search(r"Scoring +━+.* 25% 250,000 rows, [\d,]+ rows/s, 0:0\d left", shown)
    assert re.search(r"Scoring .* 75% 750,000 rows, [\d,]+ rows/s, 0:0\d left", shown)
    assert "Starting MLflow" in shown
    assert "Wrote 1,000,000 scores" in shown.splitlines()[-1]


def test_a_pipe_sees_plain_lines_only() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "Starting MLflow ...\nWrote 1,000,000 scores\n"
    assert done.stderr == ""


def test_a_long_step_prints_a_line_now_and_then() -> None:
    file = io.StringIO()
    with progress.counted(Console(file=file, width=200), "Generating", line_seconds=0) as step:
        step(1000, 0.5)
        step(2000, 1.0)
    lines = file.getvalue().splitlines()
    assert [line.partition(" rows")[0] for line in lines] == ["Generating: 50%, 1,000", "Generating: 100%, 2,000"]
    assert "left" in lines[0]
    assert "left" not in lines[1]


@pytest.mark.parametrize(
    ("rows", "share", "seconds", "expected"),
    [
        (0, 0, 0, "0 rows"),
        (1000, 0.25, 10, "1,000 rows, 100 rows/s, 0:30 left"),
        (1000, 0.01, 60, "1,000 rows, 17 rows/s, 1:39:00 left"),
        (1000, 1, 10, "1,000 rows, 100 rows/s"),
    ],
)
def test_rate_and_time_left(rows: int, share: float, seconds: float, expected: str) -> None:
    assert progress.pace(rows, share, seconds) == expected


def test_the_last_step_is_remembered_for_an_error() -> None:
    with Output(as_json=True).stages() as begin:
        begin("fit", "the model")
    assert progress.doing() == "fit (the model)"


def test_a_stage_that_is_entered_again_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().stages() as begin:
        begin("search", "trial 1 of 2")
        begin("search", "trial 2 of 2")
        begin("fit", "the model")
    assert [line.rpartition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "search    trial 2 of 2", "fit       the model",
    ]  # fmt: skip
    assert progress.doing() == "fit (the model)"


def test_a_long_stage_prints_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    with Output().stages() as begin:
        begin("search", "trial 1 of 2")
        begin("search", "trial 2 of 2")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "search    trial 2 of 2 ..."
    assert lines[1].startswith("search    trial 2 of 2: ")


def test_waiting_with_json_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=True).waiting("Asking"):
        pass
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "Asking ...\n")
