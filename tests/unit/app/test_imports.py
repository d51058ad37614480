"""The API process stays small: it never imports training's libraries."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_HEAVY = (
    "pandas",
    "mlflow",
    "sklearn",
    "scipy",
    "onnx",
    "skl2onnx",
    "skops",
    "pyarrow",
    "matplotlib",
    "boto3",
    "typer",
)
_OURS = ("training", "ops")


@pytest.mark.parametrize("module", ["app.main", "app.__main__", "app.registry", "app.redis_gate"])
def test_the_request_path_imports_nothing_of_training(module: str) -> None:
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(json.loads(done.stdout))
    assert module in loaded
    assert not {name for name in loaded if name.partition(".")[0] in {*_HEAVY, *_OURS}}


def test_modules_needed_late_or_only_for_their_files_are_not_imported() -> None:
    late = ("httpx", "redis", "app.registry", "fastapi_offline")
    code = f"import app.main, sys; print([m for m in {late} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
