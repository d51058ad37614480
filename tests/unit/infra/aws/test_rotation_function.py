"""The function that rotates secrets, as its archive is unpacked in Lambda: its files, and beside them only boto3."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from support.recorder import named, recorded

from infra.aws import functions
from infra.aws.rotation import PACKAGE

BOTO3: Final = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's runtime has."""
CALL: Final = """
import importlib, sys
sys.path[:0] = sys.argv[1:3]
module, _, function = sys.argv[3].rpartition(".")  # as the runtime finds the handler
print(getattr(importlib.import_module(module), function)({"action": "retire"}, None))
"""


def archive(stack: str) -> tuple[str, dict[str, str]]:
    """The recorded handler, and the digest of each file by its path in the archive."""
    function = named(recorded(stack), "rotation-function")
    return function.inputs["handler"], function.inputs["code"]


def unpacked(folder: Path) -> Path:
    for path, text in functions.files(PACKAGE).items():
        target = folder / "task" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder / "task"


def runtime(folder: Path) -> Path:
    """A folder with boto3 and what it needs, and no other package."""
    (folder / "runtime").mkdir()
    for name in BOTO3:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin)
        target = package.parent if spec.submodule_search_locations else package
        (folder / "runtime" / target.name).symlink_to(target)
    return folder / "runtime"


def call(task: Path, runtime: Path, handler: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "API_KEYS_SECRET": "arn",
        "MLFLOW_ADMIN_SECRET": "arn",
        "MLFLOW_URL": "https://mlflow.example.com",
        "GRAFANA_URL": "https://grafana.example.com",
        "OVERLAP_DAYS": "7",
        "SETTLE_SECONDS": "0",
        "API_CLIENT_SECRETS": "{}",
    }
    # -S leaves out the packages that are installed here, and this project among them.
    command = [sys.executable, "-S", "-c", CALL, str(task), str(runtime), handler]
    return subprocess.run(command, cwd=task, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_archive_holds_the_functions_files(stack: str) -> None:
    _, files = archive(stack)
    assert files == {
        path: f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for path, text in functions.files(PACKAGE).items()
    }


def test_the_handler_runs_with_nothing_but_boto3_beside_the_archive(tmp_path: Path) -> None:
    handler, _ = archive("prod")
    result = call(unpacked(tmp_path), runtime(tmp_path), handler)
    assert result.stdout.strip() == "{'retired': []}", result.stderr


@pytest.mark.parametrize("module", ["app.security", "ops.errors", "pydantic"])
def test_an_import_of_anything_else_would_be_seen(tmp_path: Path, module: str) -> None:
    handler, _ = archive("prod")
    task = unpacked(tmp_path)
    with (task / "rotation" / "options.py").open("a", encoding="utf-8") as file:
        file.write(f"import {module}\n")
    result = call(task, runtime(tmp_path), handler)
    assert f"No module named '{module.split('.', maxsplit=1)[0]}'" in result.stderr
