"""Configures Prometheus and Alertmanager beside the embedded platform, with the cluster's rules for what runs here.

Both read YAML, of which JSON is a subset, so this needs no YAML library.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra import naming as n
from infra.kit import scrape
from infra.rules_files import rule_files

PROMETHEUS_PORT: Final = 9090
ALERTMANAGER_PORT: Final = 9093
WATCHED: Final = (n.API, n.PROMETHEUS, n.ALERTMANAGER)
"""Workloads that a laptop runs; rules about any other would report it missing."""
STACK: Final = "embedded"


@dataclass(frozen=True, kw_only=True)
class Programs:
    """Where the two servers are installed."""

    prometheus: str
    alertmanager: str


def installed() -> Programs | None:
    """Find the two servers on PATH; None unless both are there. Debian gives Alertmanager a longer name."""
    prometheus = shutil.which("prometheus")
    alertmanager = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    return Programs(prometheus=prometheus, alertmanager=alertmanager) if prometheus and alertmanager else None


def prometheus_config(targets: Mapping[str, str], *, rules: Path, alertmanager: str) -> dict[str, Any]:
    """Return `prometheus.yml` for one address, ``host:port``, of each job, and that of Alertmanager."""
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [address], "labels": {"pod": job}}]}
        for job, address in targets.items()
    ]
    return {
        "global": {
            "scrape_interval": scrape.INTERVAL,
            "scrape_timeout": scrape.TIMEOUT,
            "evaluation_interval": scrape.INTERVAL,
            "external_labels": {"stack": STACK},
        },
        "rule_files": [f"{rules}/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": jobs,
    }


def alertmanager_config() -> dict[str, Any]:
    """Return `alertmanager.yml`: alerts are shown, grouped as in the cluster, and sent to nobody."""
    return {
        "route": {"receiver": "nobody", "group_by": ["alertname", "workload", "stack"]},
        "receivers": [{"name": "nobody"}],
    }


def prometheus_command(program: str, folder: Path, address: str) -> list[str]:
    """Return the command line of a Prometheus whose configuration and data are in ``folder``."""
    return [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        "--storage.tsdb.retention.time=7d",
        f"--web.listen-address={address}",
    ]


def alertmanager_command(program: str, folder: Path, address: str) -> list[str]:
    """Return the command line of a single Alertmanager whose configuration and data are in ``folder``."""
    return [
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]


def write(folder: Path, *, targets: Mapping[str, str], alertmanager: str) -> None:
    """Write the configuration of both, and the rules, into ``folder``."""
    rules = folder / "rules"
    shutil.rmtree(rules, ignore_errors=True)
    rules.mkdir(parents=True)
    for name, text in rule_files(WATCHED).items():
        (rules / name).write_text(text, encoding="utf-8")
    config = prometheus_config(targets, rules=rules, alertmanager=alertmanager)
    (folder / "prometheus.yml").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "alertmanager.yml").write_text(json.dumps(alertmanager_config(), indent=1), encoding="utf-8")
