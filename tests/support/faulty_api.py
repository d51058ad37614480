"""The API with faults that a test switches on by creating `slow` or `failing` in the folder `FAULTS`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from app.__main__ import main
from app.contract import Features, Scores
from app.model import Model

FAULTS = Path(os.environ["FAULTS"])
_score = Model.score


def _faulty(self: Model, features: Features) -> Scores:
    if (FAULTS / "failing").exists():
        raise RuntimeError("a fault of the test")
    if (FAULTS / "slow").exists():
        time.sleep(0.15)
    return _score(self, features)


Model.score = _faulty  # type: ignore[method-assign]  # that is the fault

if __name__ == "__main__":
    raise SystemExit(main())
