"""Everything that alerts are about, running at once, with faults that a test causes and mends.

The API, MLflow, Prometheus and Alertmanager are real; what only a cluster has (kubelets, kube-state-metrics, the probe
of the edge) is played by one exporter whose figures the test sets. Rules and routes are those of prod, with time
running ``SPEED`` times faster, so that `for: 1h` takes six minutes.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from support.bundles import make_bundle, random_customers, write_keys
from support.listening import Listening, QuietHandler, http
from support.registered import Registered
from support.servers import HOST, Api, Mlflow, wait_until
from support.watched import Watched, watched

from app.bundle import MODEL
from infra import naming as n
from infra.rules_files import rule_files

SPEED: Final = 10
"""Faster than this, a scrape on a busy machine outlasts its interval, and what was pending starts again."""
SECONDS: Final = 700.0
"""The longest that a test waits for one message."""
DAY: Final = 86_400
BATCH: Final = 100
CHANNELS: Final = {"critical": {"slack", "pagerduty", "email"}, "warning": {"slack", "email"}, "info": {"slack"}}
FREE: Final = 'kubelet_volume_stats_available_bytes{namespace="churn-mlops",persistentvolumeclaim="data"}'
SIZE: Final = 'kubelet_volume_stats_capacity_bytes{namespace="churn-mlops",persistentvolumeclaim="data"}'
BACKUP: Final = 'kube_cronjob_status_last_successful_time{namespace="churn-mlops",cronjob="backup-postgres"}'
EXPIRY: Final = 'probe_ssl_earliest_cert_expiry{instance="https://api"}'
MLFLOW_PODS: Final = 'kube_deployment_status_replicas_available{namespace="churn-mlops",deployment="mlflow"}'


class Exporter(Listening):
    """Stands in for the cluster's exporters: figures by series, as the test sets them."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        figures = self.figures

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                content = "".join(f"{name} {value}\n" for name, value in figures.items()).encode()
                self.reply(200, content, "text/plain; version=0.0.4")

        super().__init__(http(Handler))


@dataclass
class Traffic:
    """Requests that are sent all through a test: good ones, and guessed keys where the test says so."""

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


class FaultyApi(Api):
    """The real API, whose scoring can be made slow or failing."""

    def __init__(self, folder: Path, faults: Path, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self._command = [sys.executable, "-m", "support.faulty_api"]
        self._environment |= {"FAULTS": str(faults), "PYTHONPATH": str(Path(__file__).parents[1])}


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

    def seconds_to_arrive(
        self, severities: dict[str, str], began: float, *, resolved: bool = False
    ) -> dict[str, float]:
        """Seconds of the faster time from ``began`` until each alert's message is in every channel of its severity."""
        seconds: dict[str, float] = {}

        def done() -> bool:
            for alert, severity in severities.items():
                if alert not in seconds and self._channels(alert, began, resolved=resolved) >= CHANNELS[severity]:
                    seconds[alert] = round(time.monotonic() - began, 1)
            return seconds.keys() == severities.keys()

        try:
            wait_until(done, f"{sorted(severities)} resolved={resolved}", SECONDS, pause=0.1)
        finally:
            _show("until the message that it is over" if resolved else "until the message", seconds)
        for alert, severity in severities.items():
            assert self._channels(alert, began, resolved=resolved) == CHANNELS[severity], alert
        return seconds

    def wait_for_quiet(self) -> None:
        """Wait until every target was scraped and nothing is wrong; but for the dead man's switch nobody was called."""
        wait_for(self._is_quiet, "nothing is wrong at first, and the Watchdog alone fires")

    def refuse_a_version(self) -> None:
        """Point the alias to a corrupt version until the API has refused it, and then back to a good one."""
        good = self.registered.publish(self.bundles[0])
        bad = self.registered.publish(self.bundles[1])
        content = bytearray(bad.read(MODEL))
        content[len(content) // 2] ^= 1
        bad.write(MODEL, bytes(content))
        self.registered.point(bad)
        wait_for(lambda: self.watched.prometheus.query("churn_model_refused_total > 0"), "the version is refused")
        self.registered.point(good)

    def _channels(self, alert: str, since: float, *, resolved: bool) -> set[str]:
        about = self.watched.inbox.about(alert, resolved=resolved)
        return {message.channel for message in about if message.at >= since}

    def _is_quiet(self) -> bool:
        prometheus = self.watched.prometheus
        return prometheus.firing() == {"Watchdog"} and not prometheus.query(
            "absent(churn_model_refused_total == 0) or up == 0"
        )


@contextmanager
def running(folder: Path) -> Iterator[Stage]:
    """Everything, started and stopped; its files are in ``folder``."""
    faults = folder / "faults"
    faults.mkdir()
    bundles = _bundles(folder)
    keys = write_keys(folder / "keys.json", {"client": ["predict"]}, rates={"client": "100000/second"})
    with ExitStack() as stack:
        mlflow = Mlflow(folder / "mlflow")
        stack.callback(mlflow.close)
        launch(mlflow)
        registered = Registered(mlflow.url, "watched")
        registered.point(registered.publish(bundles[0]))
        settings = {**registered.settings(), "auth": "required", "api_keys_file": folder / "keys.json"}
        api = stack.enter_context(FaultyApi(folder / "api", faults, key=keys["client"], **settings))
        exporter = stack.enter_context(Exporter())
        exporter.figures |= healthy_figures() | {SIZE: 100.0}
        rules = rule_files([n.API, n.NODE_EXPORTER, n.BACKUP, n.BLACKBOX, n.MLFLOW, n.PROMETHEUS])
        targets = {"api": f"{HOST}:{api.port}", "probe": exporter.address}
        # Nobody asks the others for more than whether they are up.
        silent = stack.enter_context(Exporter())
        targets |= dict.fromkeys(("kubelet", "kube-state-metrics", "node-exporter", "blackbox"), silent.address)
        traffic = Traffic(api, keys["client"], random_customers(2000, seed=0))
        runner = threading.Thread(target=traffic.run, daemon=True)
        runner.start()
        try:
            servers = stack.enter_context(watched(folder / "watched", targets, rules=rules, speed=SPEED))
            yield Stage(
                watched=servers, exporter=exporter, mlflow=mlflow, registered=registered, traffic=traffic,
                faults=faults, bundles=bundles,
            )  # fmt: skip
        finally:
            traffic.stop.set()
            runner.join()
        assert servers.inbox.broken == []


def healthy_figures() -> dict[str, float]:
    """The exporter's figures where nothing is wrong; times are those of now."""
    now = time.time()
    return {FREE: 80.0, BACKUP: now, EXPIRY: now + 60 * DAY, MLFLOW_PODS: 1}


def launch(mlflow: Mlflow) -> None:
    """Start it with more patience than usual: it shares its processors with all the other servers here."""
    mlflow.launch()
    wait_until(mlflow.is_up, f"MLflow is up; its output: {mlflow.log}", SECONDS)


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait for something that Prometheus is asked, no more often than it evaluates."""
    wait_until(condition, what, SECONDS, pause=0.5)


def _bundles(folder: Path) -> list[Path]:
    folders = [folder / f"bundle-{seed}" for seed in (0, 1)]
    for seed, bundle in enumerate(folders):
        bundle.mkdir(parents=True)
        make_bundle(bundle, seed=seed)
    return folders


def _show(what: str, seconds: dict[str, float]) -> None:
    """Print a table; pytest shows it with `-s`."""
    print(f"\nseconds {what}, of a time {SPEED} times faster")  # noqa: T201
    for alert, taken in sorted(seconds.items(), key=lambda item: item[1]):
        print(f"  {alert:<22}{taken:>7}")  # noqa: T201
