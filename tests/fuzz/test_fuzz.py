"""Thousands of generated requests against a live API with two models: its OpenAPI document describes every answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bundles import make_bank_bundle, make_bundle, random_customers, write_keys
from support.contracts import small_bank
from support.servers import Api

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

SEED = 20
CASES = {"with a key": 3200, "without a key": 800}
"""The minimum of cases in each run: 4,000 in all."""
EXAMPLES = {"with a key": 300, "without a key": 100}
"""The maximum of cases for each operation in the fuzzing phase; operations without input have only a few."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("fuzz")
    make_bundle(folder / "models" / "churn", seed=SEED)
    make_bank_bundle(folder / "models" / "bank", small_bank(), seed=SEED)
    keys = write_keys(folder / "keys.json", {"fuzz": ["predict", "admin"]}, rates={"fuzz": "1000000/second"})
    settings = {
        "models": "churn,bank",
        "model_source": folder / "models",
        "auth": "required",
        "api_keys_file": folder / "keys.json",
    }
    with Api(folder / "api", key=keys["fuzz"], **settings) as api:
        yield api


def schemathesis(api: Api, folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run every phase and check of Schemathesis against the live API; returns its exit and its report."""
    report = folder / "report.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/openapi.json"),
        *("--checks", "all", "--mode", "all", "--continue-on-failure", "--no-color"),
        *("--seed", str(SEED), "--generation-database", "none"),
        *("--report", "json", "--report-json-path", str(report)),
        *arguments,
    ]
    environment = os.environ | {"NO_PROXY": "*"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert report.exists(), done.stdout + done.stderr
    return done, json.loads(report.read_text())


@pytest.mark.parametrize("run", CASES)
def test_every_answer_is_one_that_the_description_names(api: Api, tmp_path: Path, run: str) -> None:
    arguments = ["--max-examples", str(EXAMPLES[run])]
    if run == "with a key":
        arguments += ["--header", f"X-API-Key: {api.client.headers['x-api-key']}"]
    done, report = schemathesis(api, tmp_path, *arguments)
    cases = report["test_cases"]
    assert done.returncode == 0, done.stdout[-20_000:]
    assert not report["failures"]
    assert cases["errored"] == 0
    assert report["operations"]["tested"] == report["operations"]["total"] > 0
    assert cases["generated"] >= CASES[run]


def test_the_process_survived(api: Api) -> None:
    """Runs last: the process counted no server error, and still predicts."""
    statuses = [name for name in api.metrics() if name.startswith("churn_http_requests_total")]
    assert any('status="200"' in name for name in statuses)
    assert not [name for name in statuses if 'status="5' in name]
    assert '"level":"error"' not in api.output
    api.predict(random_customers(1, seed=SEED)[0])
