"""Continuous integration beside the tests themselves: the sample of long tests, and the table of times."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.long_tests import deselect, left_out
from support.paths import ROOT

NODES = {f"test_{number}": float(number) for number in range(1, 11)}


def chosen(seconds: float, seed: str) -> set[str]:
    """The long tests that a run with this budget takes."""
    return NODES.keys() - left_out(NODES, seconds, seed)


def test_without_a_budget_no_long_test_runs_and_without_a_limit_all_do() -> None:
    assert chosen(0, "a") == set()
    assert chosen(float("inf"), "a") == NODES.keys()


def test_a_sample_fits_its_budget_and_in_time_every_test_is_in_one() -> None:
    samples = [chosen(20, str(seed)) for seed in range(30)]
    assert all(10 < sum(NODES[name] for name in sample) <= 20 for sample in samples)
    assert set.union(*samples) == NODES.keys()
    assert samples[0] == chosen(20, "0")
    assert len({frozenset(sample) for sample in samples}) > 10


@dataclass(frozen=True)
class Collected:
    """As much of a collected test as the choice looks at."""

    nodeid: str
    group: str = ""
    seconds: float = 0.0

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        kwargs: dict[str, Any] = {"seconds": self.seconds} | ({"together": self.group} if self.group else {})
        return pytest.Mark(name, (), kwargs, _ispytest=True) if self.seconds else None


def test_a_group_runs_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[Collected] = []

    def pytest_deselected(items: list[Collected]) -> None:
        gone.extend(items)

    config = cast("pytest.Config", SimpleNamespace(hook=SimpleNamespace(pytest_deselected=pytest_deselected)))
    upgrade, restore = [[Collected(f"{name}{n}", name, 60) for n in range(3)] for name in ("upgrade", "restore")]
    monkeypatch.setenv("LONG_SECONDS", "100")
    chosen = set()
    for seed in range(10):
        monkeypatch.setenv("LONG_SEED", str(seed))
        items = [Collected("always"), *upgrade, *restore, Collected("alone", seconds=30)]
        deselect(config, cast("list[pytest.Item]", items))
        assert items in ([Collected("always"), *group, Collected("alone", seconds=30)] for group in (upgrade, restore))
        chosen.add(items[1].nodeid)
    assert len(chosen) == 2
    assert len(gone) == 10 * 3


def test_tests_that_a_run_is_not_for_use_up_nothing_of_its_budget() -> None:
    """The scale-up fits by itself; with the overload, which `-m live` takes out, this seed would leave it out."""
    live, other = "tests/cluster/live/test_2_scale_up.py", "tests/services/test_overload.py"
    assert left_out({"scale-up": 60, "test_overload": 30}, 60, "4") == {"scale-up"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-m", "live", live, other],
        cwd=ROOT,
        env=os.environ | {"LONG_SECONDS": "60", "LONG_SEED": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert [line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line] == [live]


def test_every_long_test_is_listed_and_fits_into_a_sample() -> None:
    document = (ROOT / "docs" / "status.md").read_text("utf-8").partition("## What does not run each time")[2]
    listed = tuple(re.findall(r"`(tests/[^`]+)`", document))
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    (budget,), (live,) = (
        re.findall(r"^LONG_SECONDS=(\d+)", script, re.MULTILINE),
        re.findall(r"^live_seconds=(\d+)", script, re.MULTILINE),
    )
    files = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if costs := re.findall(r"mark\.long\(seconds=(\d+)", path.read_text("utf-8")):
            files[str(path.relative_to(ROOT))] = max(map(int, costs))
    assert "tests/services/test_backup_faults.py" in files
    assert [name for name in files if not name.startswith(listed)] == []
    assert [
        name for name, cost in files.items() if cost > int(live if name.startswith("tests/cluster") else budget)
    ] == []


def table(folder: Path, steps: str, *, document: str) -> str:
    (folder / "steps").write_text(steps)
    (folder / "test.log").write_text("12 passed in 3s\n==== 345 passed, 2 skipped in 400s ====\n")
    for name in ("lint", "types"):
        (folder / f"{name}.log").write_text("all good\n")
    (folder / "document.md").write_text(document)
    command = [sys.executable, str(ROOT / ".ci" / "table"), str(folder), str(folder / "document.md"), "600"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_table_has_each_step_with_its_time_and_its_tests(tmp_path: Path) -> None:
    document = "| step | seconds |\n| --- | --- |\n| `lint` | 10 |\n| `test` | 200 |\n"
    shown = table(tmp_path, "lint\t19\t0\ntypes\t80\t1\ntest\t401\t0\n", document=document)
    rows = [line.split() for line in shown.splitlines() if line]
    assert rows[1:4] == [["lint", "19", "10"], ["types", "80", "-", "FAILED"], ["test", "401", "200", "345"]]
    assert rows[4][:3] == ["whole", "run", "600"]
    assert [line for line in shown.splitlines() if line.startswith("Warning")] == [
        "Warning: test took 401 s, more than twice the 200 s of document.md"
    ]


def test_contributing_has_a_figure_for_every_step() -> None:
    steps = {"packages", "lint", "types", "test", "images", "fuzz", "demo", "test-live", "test-cluster"}
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert all(name in script for name in steps)
    document = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert {name for name in steps if f"| `{name}` | " in document} == steps - {"packages"}
