"""The model that all contenders serve: trained on generated customers, and registered in a separate MLflow server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app import bundle
from app.names import MODEL_NAME, PRODUCTION, STAGING
from benchmarks.errors import BenchError
from benchmarks.processes import Server
from benchmarks.traffic import CustomerJson
from ops.local import mlflow_server
from ops.local.home import Home
from ops.local.ports import free_port

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

TRAINING_ROWS: Final = 10_000
_PORT: Final = 18_000
_START_SECONDS: Final = 120
_MODEL_TYPE: Final = "logistic_regression"
"""The model that `churn train` chooses by default."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """The registered version, and local copies of its artifacts for servers that do not read MLflow.

    ``skops`` is the native model and ``trusted`` lists the types that it may hold; ``onnx`` is the exported model.
    ``key`` is valid for our API with ``keys_file``.
    """

    tracking_uri: str
    name: str
    version: str
    skops: Path
    skops_sha256: str
    trusted: tuple[str, ...]
    onnx: Path
    keys_file: Path
    key: str


@contextmanager
def registered(work: Path, core: int) -> Iterator[Served]:
    """Start MLflow in ``work``, train with ``churn train``, promote, and keep the server running until the block ends.

    Args:
        work: an empty folder.
        core: the core that MLflow runs on; never the one that servers are measured on.
    """
    home = Home(work)
    home.artifacts.mkdir(parents=True)
    port = free_port(_PORT)
    env = mlflow_server.environment() | {"CHURN_HOME": str(work)}
    log = work / "logs" / "mlflow.log"
    with Server("MLflow", mlflow_server.command(home, port), env, core=core, log=log):
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        rows = str(TRAINING_ROWS)
        _churn(["data", "generate", "--rows", rows, "--seed", "7", "--out", str(home.customers)], env)
        _churn(["train", "--data", str(home.customers), "--promote", "--tracking-uri", url], env)
        yield _fetch(url, home)


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while mlflow_server.has_production(url, MODEL_NAME) is None:
        if time.monotonic() > deadline:
            raise BenchError(f"MLflow does not answer at {url}")
        time.sleep(0.1)


def _churn(arguments: Sequence[str], env: dict[str, str]) -> None:
    home = Path(env["CHURN_HOME"])
    done = subprocess.run(  # noqa: S603 - the project's own command
        [sys.executable, "-m", "ops.cli", *arguments], env=env, capture_output=True, text=True, check=False, cwd=home
    )
    if done.returncode:
        raise BenchError(f"churn {arguments[0]} failed: {done.stderr.strip()[-800:] or done.stdout.strip()[-800:]}")


def another(served: Served, model_type: str, folder: Path) -> Path:
    """Train another kind of model on the same customers, while MLflow runs; returns the folder of its bundle.

    Args:
        served: what :func:`registered` yielded.
        model_type: as ``churn train --model`` takes it.
        folder: where its artifacts are put.
    """
    home = Home(served.keys_file.parent)
    env = mlflow_server.environment() | {"CHURN_HOME": str(home.root)}
    arguments = ["train", "--data", str(home.customers), "--model", model_type, "--tracking-uri", served.tracking_uri]
    _churn(arguments, env)
    return _download(served.tracking_uri, STAGING, folder)[1] / bundle.ARTIFACT_FOLDER


def _download(url: str, alias: str, folder: Path) -> tuple[ModelVersion, Path]:
    """Download the artifacts of the version with an alias."""
    # MLflow and scikit-learn take seconds to import, which `--help` need not wait for.
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415 - see above
    from mlflow.entities.model_registry import ModelVersion  # noqa: PLC0415 - see above

    from training.mlflow_store import by_alias, connect  # noqa: PLC0415 - see above

    client = connect(url)
    version = by_alias(client, MODEL_NAME, alias)
    if not isinstance(version, ModelVersion):
        raise BenchError(f"no trained version has the alias {alias}")
    location = client.get_model_version_download_uri(version.name, version.version)
    folder.mkdir(parents=True, exist_ok=True)
    return version, Path(download_artifacts(artifact_uri=location, dst_path=str(folder), tracking_uri=url))


def _fetch(url: str, home: Home) -> Served:
    from training.native import DIGEST_TAG, FILE, TRUSTED_TYPES  # noqa: PLC0415 - slow to import

    version, folder = _download(url, PRODUCTION, home.root)
    return Served(
        tracking_uri=url,
        name=version.name,
        version=str(version.version),
        skops=folder / FILE,
        skops_sha256=version.tags[DIGEST_TAG],
        trusted=tuple(TRUSTED_TYPES[_MODEL_TYPE]),
        onnx=folder / bundle.ARTIFACT_FOLDER / bundle.MODEL,
        keys_file=home.keys_file,
        key=home.demo_key(),
    )


def native_scores(served: Served, customers: Sequence[CustomerJson]) -> list[float]:
    """Probability of churn of each customer by the native model, which every server must return."""
    # As above: slow to import.
    import pandas as pd  # noqa: PLC0415 - see above

    from training.native import load_native  # noqa: PLC0415 - see above

    pipeline = load_native(served.skops, _MODEL_TYPE, served.skops_sha256)
    scores: list[float] = pipeline.predict_proba(pd.DataFrame(customers))[:, 1].tolist()
    return scores
