"""Runs a graph from elsewhere in a process of its own first: one that crashes or exhausts memory ends there.

Started as ``python -m training.foreign_probe FOLDER``; the caller writes the files of the folder.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from app.bundle import INPUT_NAME
from app.contract import Features
from app.model import new_session
from training.foreign_error import ForeignModelError

MEMORY_BYTES: Final = 4 * 1024**3
"""Address space of the process: ONNX Runtime itself takes less than one GiB of it."""
SECONDS: Final = 60
ROWS_MIN: Final = 1000
"""As many as the API may score at once."""
_ROWS_MAX: Final = 10_000
_REASON_LENGTH: Final = 300
_ROOT: Final = Path(__file__).parent.parent
"""Where the process starts, so that no other package of these names hides ours."""


def probe(path: Path, graph: bytes, output: str, features: Features) -> None:
    """Run a graph in a process of its own, with bounds on memory and time.

    Args:
        path: of the model's file, for messages.
        graph: with the input that serving has.
        output: name of the output to compute.
        features: customers, coded; 1,000 to 10,000 rows of them are scored at once, repeated if there are fewer.

    Raises:
        ForeignModelError: it cannot be run, or not within the bounds.
    """
    rows = min(max(len(features), ROWS_MIN), _ROWS_MAX)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "graph").write_bytes(graph)
        (Path(folder) / "output").write_text(output, encoding="utf-8")
        np.save(Path(folder) / "features.npy", np.resize(features, (rows, features.shape[1])))
        command = [sys.executable, "-m", "training.foreign_probe", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=_ROOT)  # noqa: S603  # our own program
        except subprocess.TimeoutExpired as error:
            reason = f"takes more than {SECONDS} seconds for {rows:,} customers"
            raise ForeignModelError(path, reason, "train a smaller model") from error
    if done.returncode < 0:
        reason = f"crashes ONNX Runtime on {rows:,} customers (signal {-done.returncode})"
        raise ForeignModelError(path, reason, "export it again with standard operators")
    if done.returncode:
        reason = " ".join(done.stderr.split())
        reason = reason[-_REASON_LENGTH:] if reason.startswith("Traceback") else reason[:_REASON_LENGTH]
        raise ForeignModelError(path, f"cannot be run by ONNX Runtime ({reason})", "export it again, for opset 18")


def _main(folder: Path) -> int:
    features = np.load(folder / "features.npy", allow_pickle=False)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    output = (folder / "output").read_text(encoding="utf-8")
    try:
        new_session((folder / "graph").read_bytes()).run([output], {INPUT_NAME: features})
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen kinds without a common base
        sys.stderr.write(str(error) or f"{MEMORY_BYTES // 1024**3} GiB of memory are not enough")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
