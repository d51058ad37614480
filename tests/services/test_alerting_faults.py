"""Ten faults, each to the message of the right channel and to the one that it is over: real servers, prod's rules and
routes, with time running 10 times faster so that `for: 1h` takes six minutes.

The API, MLflow, Prometheus and Alertmanager are real; what only a cluster has (kubelets, kube-state-metrics, the probe
of the edge) is played by one exporter whose figures the test sets. The killed API has a test in real time of its own.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from support.bundles import make_bundle, random_customers, write_keys
from support.registered import Registered
from support.servers import HOST, Api, Mlflow, wait_until
from support.watched import Watched, watched

from app.bundle import MODEL
from infra import naming as n
from infra.rules_files import rule_files

pytestmark = [pytest.mark.service, pytest.mark.faults, pytest.mark.timeout(1800)]
SPEED = 10
"""Faster than this, a scrape on a busy machine outlasts its interval, and what was pending starts again."""
SECONDS = 700.0
MUTED_SECONDS = 10.0
"""Three times as long as a message of a warning waits for others, which are 30 s of usual time."""
DAY = 86_400
BATCH = 100
CHANNELS = {"critical": {"slack", "pagerduty", "email"}, "warning": {"slack", "email"}, "info": {"slack"}}
FREE = 'kubelet_volume_stats_available_bytes{namespace="churn-mlops",persistentvolumeclaim="data"}'
SIZE = 'kubelet_volume_stats_capacity_bytes{namespace="churn-mlops",persistentvolumeclaim="data"}'
BACKUP = 'kube_cronjob_status_last_successful_time{namespace="churn-mlops",cronjob="backup-postgres"}'
EXPIRY = 'probe_ssl_earliest_cert_expiry{instance="https://api"}'
MLFLOW_PODS = 'kube_deployment_status_replicas_available{namespace="churn-mlops",deployment="mlflow"}'


class Exporter:
    """Stands in for the cluster's exporters: figures by series, as the test sets them."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        figures = self.figures

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = "".join(f"{name} {value}\n" for name, value in figures.items()).encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Quiet."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.address = f"{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Traffic:
    """Requests that go on beside the test: good ones, and what the test adds."""

    api: Api
    key: str
    customers: list[dict[str, Any]]
    wrong_keys: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(base_url=self.api.url, trust_env=False, timeout=5) as client:
            for turn in itertools.count():
                if self.stop.wait(0.2):
                    return
                # The same hundred again and again would be drift: by chance they differ from the model's customers.
                begin = turn * BATCH % len(self.customers)
                batch = {"customers": self.customers[begin : begin + BATCH]}
                try:
                    client.post("/v1/predict", json=self.customers[0], headers={"x-api-key": self.key})
                    client.post("/v1/predict/batch", json=batch, headers={"x-api-key": self.key})
                    for _ in range(10 if self.wrong_keys else 0):
                        client.post("/v1/predict", json=self.customers[0], headers={"x-api-key": "guess"})
                except httpx.TransportError:
                    pass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that runs."""

    watched: Watched
    exporter: Exporter
    mlflow: Mlflow
    registered: Registered
    traffic: Traffic
    faults: Path
    bundles: list[Path]


class FaultyApi(Api):
    """The real API, whose scoring can be made slow or failing."""

    def __init__(self, folder: Path, faults: Path, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self._command = [sys.executable, "-m", "support.faulty_api"]
        self._environment |= {"FAULTS": str(faults), "PYTHONPATH": str(Path(__file__).parents[1])}


def _bundles(folder: Path) -> list[Path]:
    made = []
    for seed in (0, 1):
        made.append(folder / f"bundle-{seed}")
        made[-1].mkdir(parents=True)
        make_bundle(made[-1], seed=seed)
    return made


def _begin(mlflow: Mlflow) -> None:
    """Start it with more patience than usual: it shares its processors with all the other servers here."""
    mlflow.launch()
    wait_until(mlflow.is_up, f"MLflow is up; its output: {mlflow.log}", SECONDS)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Everything anew for each test: what was before would stay in the windows of the rules for hours."""
    folder, faults = tmp_path, tmp_path / "faults"
    faults.mkdir()
    bundles = _bundles(folder)
    keys = write_keys(folder / "keys.json", {"client": ["predict"]}, rates={"client": "100000/second"})
    with ExitStack() as stack:
        mlflow = Mlflow(folder / "mlflow")
        stack.callback(mlflow.close)
        _begin(mlflow)
        registered = Registered(mlflow.url, "watched")
        registered.point(registered.publish(bundles[0]))
        settings = {**registered.settings(), "auth": "required", "api_keys_file": folder / "keys.json"}
        api = stack.enter_context(FaultyApi(folder / "api", faults, key=keys["client"], **settings))
        exporter = stack.enter_context(Exporter())
        exporter.figures |= {
            FREE: 80.0,
            SIZE: 100.0,
            BACKUP: time.time(),
            EXPIRY: time.time() + 60 * DAY,
            MLFLOW_PODS: 1,
        }
        rules = rule_files([n.API, n.NODE_EXPORTER, n.BACKUP, n.BLACKBOX, n.MLFLOW, n.PROMETHEUS])
        targets = {"api": f"{HOST}:{api.port}"}
        # Nobody asks the others for more than whether they are up.
        silent = stack.enter_context(Exporter())
        targets["probe"] = exporter.address
        targets |= dict.fromkeys(("kubelet", "kube-state-metrics", "node-exporter", "blackbox"), silent.address)
        traffic = Traffic(api, keys["client"], random_customers(2000, seed=0))
        runner = threading.Thread(target=traffic.run, daemon=True)
        runner.start()
        try:
            seen = stack.enter_context(watched(folder / "watched", targets, rules=rules, speed=SPEED))
            yield Stage(
                watched=seen, exporter=exporter, mlflow=mlflow, registered=registered, traffic=traffic, faults=faults,
                bundles=bundles,
            )  # fmt: skip
        finally:
            traffic.stop.set()
            runner.join()
        assert seen.inbox.broken == []


def _channels(stage: Stage, alert: str, since: float, *, resolved: bool) -> set[str]:
    about = stage.watched.inbox.about(alert, resolved=resolved)
    return {message.channel for message in about if message.at >= since}


def _arrives(stage: Stage, severities: dict[str, str], began: float, *, resolved: bool = False) -> dict[str, float]:
    """Seconds from ``began`` until each alert's message is in every channel of its severity; of that faster time."""
    seconds: dict[str, float] = {}

    def done() -> bool:
        for alert, severity in severities.items():
            if alert not in seconds and _channels(stage, alert, began, resolved=resolved) >= CHANNELS[severity]:
                seconds[alert] = round(time.monotonic() - began, 1)
        return seconds.keys() == severities.keys()

    try:
        wait_until(done, f"{sorted(severities)} resolved={resolved}", SECONDS, pause=0.1)
    finally:
        _show("told that it is over" if resolved else "told", seconds)
    for alert, severity in severities.items():
        assert _channels(stage, alert, began, resolved=resolved) == CHANNELS[severity], alert
    return seconds


def _ask(condition: Callable[[], object], what: str) -> None:
    """Wait for something that Prometheus tells, and ask it no more often than it looks."""
    wait_until(condition, what, SECONDS, pause=0.5)


def _quiet(stage: Stage) -> bool:
    """Whether every target was looked at before any fault, and nothing is wrong."""
    prometheus = stage.watched.prometheus
    return prometheus.firing() == {"Watchdog"} and not prometheus.query(
        "absent(churn_model_refused_total == 0) or up == 0"
    )


def _show(what: str, seconds: dict[str, float]) -> None:
    """Print a table; pytest shows it with `-s`."""
    print(f"\n{what}: seconds, of a time {SPEED} times faster")  # noqa: T201
    for alert, taken in sorted(seconds.items(), key=lambda item: item[1]):
        print(f"  {alert:<22}{taken:>7}")  # noqa: T201


def _corrupt(stage: Stage) -> Callable[[], object]:
    good = stage.registered.publish(stage.bundles[0])
    bad = stage.registered.publish(stage.bundles[1])
    content = bytearray(bad.read(MODEL))
    content[len(content) // 2] ^= 1
    bad.write(MODEL, bytes(content))
    stage.registered.point(bad)
    return lambda: stage.registered.point(good)


def test_eight_faults_tell_the_channels_of_a_warning_and_then_that_they_are_over(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    _ask(lambda: _quiet(stage), "nothing is wrong at first, but the Watchdog")
    assert {message.channel for message in stage.watched.inbox.messages} <= {"deadman"}
    usual, began = stage.traffic.customers, time.monotonic()
    mend = _corrupt(stage)
    _ask(lambda: stage.watched.prometheus.query("churn_model_refused_total > 0"), "the version is refused")
    mend()
    stage.traffic.customers = [dict(row, contract="Two year", tenure_months=72) for row in usual]
    stage.traffic.wrong_keys = True
    stage.exporter.figures |= {
        FREE: 5.0,
        BACKUP: time.time() - 27 * 3600,
        EXPIRY: time.time() + 10 * DAY,
        MLFLOW_PODS: 0,
    }
    stage.mlflow.kill()
    alerts = (
        "ModelRefused", "FeatureDrift", "ApiKeySurge", "VolumeFilling", "BackupMissing", "CertificateExpiring",
        "RegistryUnreachable", "MlflowDown",
    )  # fmt: skip
    try:
        record_property("seconds", _arrives(stage, dict.fromkeys(alerts, "warning"), began))
    finally:  # also when one was missed: the next test begins without faults
        mended = time.monotonic()
        stage.traffic.customers, stage.traffic.wrong_keys = usual, False
        stage.exporter.figures |= {FREE: 80.0, BACKUP: time.time(), EXPIRY: time.time() + 60 * DAY, MLFLOW_PODS: 1}
        _begin(stage.mlflow)
    (slack, *_) = stage.watched.inbox.about("VolumeFilling", channel="slack")
    assert "data in churn-mlops has 5% left" in " ".join(slack.text.split())
    assert "docs/runbooks/node-exporter.md#volumefilling" in slack.text
    # The refusal is over by itself, as the alias was moved back at once; the others only now.
    record_property("refused over", _arrives(stage, {"ModelRefused": "warning"}, began, resolved=True))
    others = dict.fromkeys((alert for alert in alerts if alert != "ModelRefused"), "warning")
    record_property("over", _arrives(stage, others, mended, resolved=True))


def test_slow_and_failing_predictions_page_and_a_lesser_alert_of_the_api_stays_quiet(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    firing = stage.watched.prometheus.firing
    _ask(lambda: _quiet(stage), "nothing is wrong at first, but the Watchdog")
    (stage.faults / "slow").touch()
    began = time.monotonic()
    record_property("slow", _arrives(stage, {"ApiLatencyBurnFast": "critical"}, began))
    # A warning of the same workload fires meanwhile, and nobody is told.
    stage.traffic.wrong_keys = True
    _ask(lambda: "ApiKeySurge" in firing(), "the surge fires")
    time.sleep(MUTED_SECONDS)
    assert {"ApiKeySurge", "ApiLatencyBurnFast"} <= firing()
    assert stage.watched.inbox.about("ApiKeySurge") == []
    stage.traffic.wrong_keys = False
    _ask(lambda: "ApiKeySurge" not in firing(), "the surge is over")
    (stage.faults / "slow").unlink()
    (stage.faults / "failing").touch()
    began = time.monotonic()
    record_property("failing", _arrives(stage, {"ApiErrorRate": "critical"}, began))
    (stage.faults / "failing").unlink()
    mended = time.monotonic()
    record_property("over", _arrives(stage, {"ApiErrorRate": "critical"}, mended, resolved=True))


def test_the_dead_mans_service_is_called_again_and_again(stage: Stage) -> None:
    def calls() -> list[str]:
        return [message.title for message in stage.watched.inbox.messages if message.channel == "deadman"]

    wait_until(lambda: len(calls()) >= 3, "three calls", SECONDS, pause=0.5)
    assert set(calls()) == {"Watchdog"}
