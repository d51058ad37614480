r"""The peers' own environments: exact, hashed requirements, installed on first use.

``peers/<name>.in`` lists the requirements and ``peers/<name>.txt`` is their lock, written in the project's folder by

    uv pip compile benchmarks/peers/<name>.in --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header -o benchmarks/peers/<name>.txt

pandas, scikit-learn and skops are the project's own releases: all serve the same model with the same libraries.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PEERS: Final = ("mlflow", "bentoml", "mlserver", "litserve")
REQUIREMENTS: Final = Path(__file__).parent / "peers"
_STAMP: Final = "installed.sha256"
_SHOWN: Final = ("pandas", "scikit-learn", "skops", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A peer's environment: its folder of programs and the installed versions, or the reason why there is none."""

    name: str
    programs: Path
    versions: dict[str, str]
    problem: str | None = None

    @property
    def python(self) -> Path:
        return self.programs / "python"


def ensure(name: str, folder: Path) -> Environment:
    """Install a peer unless its current lock is installed already; a failure is reported in the result."""
    home = folder / name
    programs = home / "bin"
    lock = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = home / _STAMP
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest:
        uv = [sys.executable, "-m", "uv"]
        problem = _run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)]) or _run(
            [
                *uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                str(programs / "python"),
                "--require-hashes",
                "-r",
                str(lock),
            ]
        )
        if problem:
            return Environment(name=name, programs=programs, versions={}, problem=problem)
        stamp.write_text(digest, encoding="utf-8")
    return Environment(name=name, programs=programs, versions=_versions(programs / "python", name))


def _run(command: Sequence[str]) -> str | None:
    """Run a command; returns the end of its output if it failed, else None."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return " ".join(lines[-3:]) or f"exit code {done.returncode}"


def _versions(python: Path, name: str) -> dict[str, str]:
    code = f"import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {(name, *_SHOWN)!r}}}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - as above
    versions: dict[str, str] = json.loads(done.stdout)
    return versions
