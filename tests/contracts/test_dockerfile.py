"""The Dockerfile passes hadolint, each target installs its own lock, and no image has what it does not need."""

from __future__ import annotations

import re
import subprocess

import pytest
from support.paths import ROOT
from support.servers import require_tool

from infra.versions import OWN

DOCKERFILES = [ROOT / "Dockerfile", *sorted((ROOT / "tests/cluster/live/images").glob("*/Dockerfile"))]
LOCKS = {
    "api": "requirements/api.lock",
    "mlflow": "requirements/mlflow.lock",
    "ops": "requirements/ops.lock",
    "training": "requirements/training.lock",
}


def packages(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9_.-]*)==", (ROOT / lock).read_text(), re.MULTILINE))


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([require_tool("hadolint"), DOCKERFILES[0]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", OWN)
def test_a_target_installs_its_own_lock_with_hashes(name: str) -> None:
    stage = DOCKERFILES[0].read_text().split(f"FROM environment AS {name}\n", 1)[1].split("\nFROM ", 1)[0]
    assert re.findall(r"^COPY (\S+\.lock) (\S+)$", stage, re.MULTILINE) == [
        (LOCKS[name], "/opt/churn/requirements.lock")
    ]
    assert re.findall(r"--require-hashes -r (\S+)", stage) == ["/opt/churn/requirements.lock"]


@pytest.mark.parametrize(
    ("lock", "absent"),
    [
        ("requirements/api.lock", {"pandas", "mlflow", "scikit-learn", "boto3", "matplotlib"}),
        ("requirements/ops.lock", {"pandas", "mlflow", "scikit-learn", "matplotlib"}),
        ("requirements/mlflow.lock", {"onnxruntime", "uvloop", "redis"}),
    ],
)
def test_an_image_does_not_carry_what_it_does_not_need(lock: str, absent: set[str]) -> None:
    names = packages(lock)
    assert len(names) > 20
    assert names & absent == set()


def test_only_what_is_copied_is_sent_to_a_build() -> None:
    ignore = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert ignore[0] == "*"
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILES[0].read_text(), re.MULTILINE))
    assert {"requirements/*.lock" if name.endswith(".lock") else name for name in copied} == allowed
