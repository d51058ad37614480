"""The peers: other programs that serve the same registered model, each run as its users would run it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from app.names import MODEL_NAME
from benchmarks import traffic
from benchmarks.contender import LOOPBACK, ROOT, SERVE, Contender, Route, native_env
from benchmarks.model import Served
from benchmarks.peers import Environment
from benchmarks.plan import CONNECTIONS

_BATCHING: Final = "batching requests"
_WAIT_SECONDS: Final = 0.005
"""How long a batch may wait to be filled."""


def _peer_env(environment: Environment, served: Served, **more: str) -> Mapping[str, str]:
    path = f"{environment.programs}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(ROOT), **native_env(served), **more}


def mlflow(served: Served, environment: Environment) -> Contender:
    """``mlflow models serve`` on the registered version."""
    route = Route(path="/invocations", body=traffic.dataframe_records, scores=_mlflow_scores)
    uri = f"models:/{served.name}/{served.version}"
    return Contender(
        name="mlflow models serve",
        kind="peer",
        setup="the registered version, `--env-manager local`, 1 worker; `dataframe_records`, signature enforced",
        command=lambda port: [
            str(environment.programs / "mlflow"), "models", "serve", "--model-uri", uri, "--env-manager", "local",
            "--host", LOOPBACK, "--port", str(port), "--workers", "1",
        ],
        env=lambda _: _peer_env(environment, served, MLFLOW_TRACKING_URI=served.tracking_uri),
        single=route,
        batch=route,
        versions=environment.versions,
        problem=environment.problem,
    )  # fmt: skip


def _mlflow_scores(answer: Any) -> list[float]:
    return [p[1] if isinstance(p, list) else p for p in answer["predictions"]]


def bentoml(served: Served, environment: Environment) -> Contender:
    """A BentoML service."""
    route = Route(path="/predict", body=traffic.batch, scores=list)
    return Contender(
        name="BentoML",
        kind="peer",
        setup="`bentoml serve`, 1 worker; a list of customers",
        command=_bentoml_command(environment, "bentoml_service"),
        env=lambda _: _peer_env(environment, served),
        single=route,
        batch=route,
        versions=environment.versions,
        problem=environment.problem,
    )


def _bentoml_command(environment: Environment, module: str) -> Callable[[int], list[str]]:
    return lambda port: [
        str(environment.programs / "bentoml"), "serve", f"{SERVE}.{module}:Churn", "--working-dir", str(ROOT),
        "--host", LOOPBACK, "--port", str(port),
    ]  # fmt: skip


def mlserver(served: Served, environment: Environment, work: Path, **settings: float) -> Contender:
    """MLServer with a custom runtime, since it has none for skops; ``settings`` are added to those of the model."""
    route = Route(
        path=f"/v2/models/{MODEL_NAME}/infer", body=traffic.v2, scores=lambda answer: answer["outputs"][0]["data"]
    )
    models = work / ("mlserver-batching" if settings else "mlserver")
    models.mkdir(parents=True, exist_ok=True)
    model = {"name": MODEL_NAME, "implementation": f"{SERVE}.mlserver_runtime.Churn", **settings}
    (models / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")

    def env(port: int) -> Mapping[str, str]:
        ports = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
        numbers = {name: str(port + offset) for offset, name in enumerate(ports)}
        quiet = {"MLSERVER_DEBUG": "false", "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_HOST": LOOPBACK}
        return _peer_env(environment, served, **numbers, **quiet)

    return Contender(
        name="MLServer",
        kind="peer",
        setup="custom runtime, `parallel_workers=0` (faster than 1 on one core), `debug=false`; V2, pandas codec",
        command=lambda _: [str(environment.programs / "mlserver"), "start", str(models)],
        env=env,
        single=route,
        batch=route,
        versions=environment.versions,
        problem=environment.problem,
    )


def litserve(served: Served, environment: Environment) -> Contender:
    """A LitServe server."""
    route = Route(path="/predict", body=traffic.batch, scores=list)
    return Contender(
        name="LitServe",
        kind="peer",
        setup="1 worker; a list of customers",
        command=lambda port: [str(environment.python), "-m", f"{SERVE}.litserve_server", str(port)],
        env=lambda _: _peer_env(environment, served),
        single=route,
        batch=route,
        versions=environment.versions,
        problem=environment.problem,
    )


def batching(served: Served, environments: Mapping[str, Environment], work: Path) -> list[Contender]:
    """The peers that can score waiting requests in one call, set up to do so. Batches gain nothing from it."""
    route = Route(path="/predict", body=traffic.batch, scores=list)
    lit, bento = environments["litserve"], environments["bentoml"]
    size = str(CONNECTIONS)
    litserve_command = [str(lit.python), "-m", f"{SERVE}.litserve_batching"]
    return [
        replace(
            mlserver(served, environments["mlserver"], work, max_batch_size=CONNECTIONS, max_batch_time=_WAIT_SECONDS),
            name=f"MLServer, {_BATCHING}",
            setup=f"as MLServer, with `max_batch_size={size}`, `max_batch_time={_WAIT_SECONDS}`",
            batch=None,
            variant=True,
        ),
        replace(
            litserve(served, lit),
            name=f"LitServe, {_BATCHING}",
            setup=f"as LitServe, with `max_batch_size={size}`, `batch_timeout={_WAIT_SECONDS}`",
            command=lambda port: [*litserve_command, str(port), size, str(_WAIT_SECONDS)],
            single=route,
            batch=None,
            variant=True,
        ),
        replace(
            bentoml(served, bento),
            name=f"BentoML, {_BATCHING}",
            setup=f"as BentoML, with `batchable=True`, `max_batch_size={size}`, `max_latency_ms=1000`",
            command=_bentoml_command(bento, "bentoml_batching"),
            env=lambda _: _peer_env(bento, served, BENCH_BATCH=size),
            single=route,
            batch=None,
            variant=True,
        ),
    ]
