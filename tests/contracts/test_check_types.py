"""`make types` with the results of another checkout: it finds what it finds from nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support import check_types
from support.paths import ROOT

CALLED = "def area(side: float) -> float:\n    return side * side\n"
CALLER = "from shapes import area\n\nprint(area(2) + 1)\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that outlives a checkout."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "churn-tools" / "mypy"


def checkout(folder: Path, *, called: str = CALLED, caller: str = CALLER, lock: str = "mypy==2\n") -> Path:
    """A clean checkout of a small program."""
    for name, text in {
        "pyproject.toml": '[tool.mypy]\nstrict = true\nfiles = ["shapes.py", "caller.py"]\nverbosity = 1\n',
        "requirements/dev.lock": lock,
        "shapes.py": called,
        "caller.py": caller,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def checked(folder: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, int, str]:
    """mypy's exit code in a checkout, the number of modules it read, and what it reports."""
    code = check_types.check(folder)
    output, log = capfd.readouterr()
    return code, len(re.findall(r"^LOG:  Parsing .*\.pyi?\b", log, re.MULTILINE)), output


def test_a_clean_checkout_begins_where_another_ended_and_finds_each_new_error(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, everything, _ = checked(checkout(tmp_path / "first"), capfd)
    assert (code, everything > 10) == (0, True)
    assert checked(checkout(tmp_path / "second"), capfd)[:2] == (0, 0)

    # The error is in a file that did not change, and shows each time: results with errors are not handed on.
    for name in ("third", "fourth"):
        changed = checkout(tmp_path / name, called=CALLED.replace("float", "str").replace(" * side", ""))
        code, modules, output = checked(changed, capfd)
        assert (code, modules) == (1, 2)
        assert re.findall(r"^(\S+): error: .*\[(\S+)\]$", output, re.MULTILINE) == [
            ("caller.py:3", "arg-type"),
            ("caller.py:3", "operator"),
        ]
    assert checked(tmp_path / "fourth", capfd)[0] == 1
    assert checked(checkout(tmp_path / "fifth"), capfd)[:2] == (0, 0)
    assert [path.name for path in cache.iterdir() if path.name != ".lock"] == [
        check_types.shared_folder(tmp_path / "fifth").name
    ]


def test_other_versions_or_settings_begin_from_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def succeed(command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        own = cwd / check_types.OWN
        begins.append(own.is_dir())
        own.mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0)

    begins: list[bool] = []
    monkeypatch.setattr(subprocess, "run", succeed)
    for number, lock in enumerate(("mypy==2", "mypy==3", "mypy==2", "mypy==4", "mypy==3")):
        assert check_types.check(checkout(tmp_path / str(number), lock=lock)) == 0
    # The two newest are kept, so the last lock begins anew.
    assert begins == [False, False, True, False, False]
    other = checkout(tmp_path / "other", lock="mypy==3")
    (other / "pyproject.toml").write_text("[tool.mypy]\n")
    check_types.check(other)
    assert begins[-1] is False
    assert len([path for path in cache.iterdir() if path.name != ".lock"]) == check_types.MOST_FOLDERS


def test_make_runs_it() -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", "--no-print-directory", "types"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1].endswith("python -m support.check_types")
