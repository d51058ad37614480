"""All contenders: our API, its peers, and baselines, all serving one registered model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks import peers, traffic
from benchmarks.contender import (
    API,
    ASGI,
    CONSTANT,
    JSON_HEADERS,
    LOOPBACK,
    ROOT,
    SERVE,
    Contender,
    Route,
    native_env,
)
from benchmarks.model import Served
from benchmarks.peer_servers import batching, bentoml, litserve, mlflow, mlserver
from benchmarks.peers import Environment

_NO_LIMIT_SEEN: Final = "1000000/second"
"""A rate limit that counts every request and lets all of them pass."""


def api(served: Served, *, cache: Path, tracking_uri: str | None = None) -> Contender:
    """Our API with everything on: API key, rate limit, validation, metrics and structured log."""
    settings = {
        "HOST": LOOPBACK,
        "MODEL_SOURCE": "mlflow",
        "MODELS": served.name,
        "MLFLOW_TRACKING_URI": tracking_uri or served.tracking_uri,
        "MODEL_CACHE_DIR": str(cache),
        "AUTH": "required",
        "API_KEYS_FILE": str(served.keys_file),
        "RATE_LIMIT": _NO_LIMIT_SEEN,
        "LOG_REQUESTS": "true",
        "DRAIN_SECONDS": "0",
    }
    return Contender(
        name=API,
        kind="api",
        versions=_versions("fastapi", "uvicorn", "pydantic", "onnxruntime"),
        setup=(
            "`python -m app`: API key, rate limit, validation, metrics, one JSON log line a request to a file; "
            "requests that wait are scored together"
        ),
        command=lambda _: [sys.executable, "-m", "app"],
        env=lambda port: {**settings, "PORT": str(port)},
        headers={**JSON_HEADERS, "X-API-Key": served.key},
        single=Route(
            path="/v1/predict", body=lambda c: traffic.one(c[0]), scores=lambda answer: [answer["churn_probability"]]
        ),
        batch=Route(
            path="/v1/predict/batch",
            body=traffic.batch,
            scores=lambda answer: [p["churn_probability"] for p in answer["predictions"]],
        ),
    )


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}


def _baseline(name: str, module: str, setup: str, served: Served, *, scores: bool, batch: bool) -> Contender:
    """A plain server on the same event loop and HTTP parser as the API, without an access log."""
    command = [
        sys.executable, "-m", "uvicorn", f"{SERVE}.{module}:app", "--host", LOOPBACK,
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    onnx = {"BENCH_ONNX": str(served.onnx)}
    return Contender(
        name=name,
        kind="baseline",
        versions=_versions("fastapi", "uvicorn"),
        setup=setup,
        command=lambda port: [*command, "--port", str(port)],
        env=lambda _: {"PYTHONPATH": str(ROOT), **native_env(served), **onnx},
        single=Route(
            path="/predict",
            body=lambda c: traffic.one(c[0]),
            scores=(lambda answer: [answer["churn_probability"]]) if scores else None,
        ),
        batch=Route(path="/predict/batch", body=traffic.batch, scores=lambda a: a["churn_probabilities"])
        if batch
        else None,
    )


def everything(served: Served, environments: Mapping[str, Environment], work: Path) -> list[Contender]:
    """All contenders, our API first."""
    uvicorn = "uvicorn with uvloop and httptools, no access log"
    return [
        api(served, cache=work / "model-cache"),
        mlflow(served, environments["mlflow"]),
        bentoml(served, environments["bentoml"]),
        mlserver(served, environments["mlserver"], work),
        litserve(served, environments["litserve"]),
        *batching(served, environments, work),
        _baseline(
            "FastAPI + pandas + scikit-learn", "fastapi_sklearn", f"plain routes, {uvicorn}", served,
            scores=True, batch=True,
        ),
        _baseline(
            "FastAPI + ONNX Runtime, plain", "fastapi_onnx", f"plain routes, {uvicorn}", served, scores=True, batch=True
        ),
        _baseline(
            CONSTANT, "fastapi_constant", f"validates the same body; {uvicorn}; no key, limit, log or metrics", served,
            scores=False, batch=False,
        ),
        _baseline(ASGI, "asgi_constant", f"no framework; {uvicorn}", served, scores=False, batch=False),
    ]  # fmt: skip


def environments(folder: Path) -> dict[str, Environment]:
    """The peers' environments, installed if necessary."""
    return {name: peers.ensure(name, folder) for name in peers.PEERS}
