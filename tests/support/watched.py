"""Prometheus and Alertmanager configured as in the cluster, with a test's targets and, on request, faster time.

``speed`` divides every duration of the rules (ranges, offsets, `for`), of the scrapes and of Alertmanager's routes;
thresholds stay as they are. Whatever a test measures is then in seconds of the faster time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from support.recorder import settings
from support.servers import HOST, Server, answers, free_port, wait_until
from support.sinks import Hooks, Inbox, Mails
from support.tools import newest_alertmanager, newest_prometheus

from infra.workloads import alertmanager_config as alerting
from ops.local import monitoring
from ops.plain_http import NO_TLS

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION: Final = re.compile(r"\b(\d+)(ms|s|m|h|d|w)\b")
_IN_EXPRESSION: Final = re.compile(r"(\[|offset )(\d+)(ms|s|m|h|d|w)\b")
_KEYS: Final = {"for", "keep_firing_for", "group_wait", "group_interval", "repeat_interval"} | {
    "scrape_interval", "scrape_timeout", "evaluation_interval", "resolve_timeout",
}  # fmt: skip


def _faster(amount: str, unit: str, speed: float) -> str:
    return f"{max(1, round(int(amount) * _UNITS[unit] / speed))}ms"


def scaled(content: Any, speed: float) -> Any:
    """Rules or a configuration with every duration divided by ``speed``."""
    if isinstance(content, list):
        return [scaled(item, speed) for item in content]
    if not isinstance(content, dict):
        return content
    faster = {}
    for key, value in content.items():
        if key in _KEYS:
            faster[key] = _DURATION.sub(lambda match: _faster(match[1], match[2], speed), value)
        elif key == "expr":
            faster[key] = _IN_EXPRESSION.sub(lambda match: match[1] + _faster(match[2], match[3], speed), value)
        else:
            faster[key] = scaled(value, speed)
    return faster


class Prometheus(Server):
    """The newest release, with a configuration in ``folder``."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        command = monitoring.prometheus_command(str(newest_prometheus("prometheus")), folder, f"{HOST}:{port}")
        super().__init__(command, folder, port=port, environment={"GOMAXPROCS": "1"})

    def is_up(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        answer = httpx.post(
            f"{self.url}/api/v1/query", data={"query": expression}, timeout=30, trust_env=False, verify=NO_TLS
        )
        body = answer.json()
        assert body["status"] == "success", f"{expression}: {body}"
        result: list[dict[str, Any]] = body["data"]["result"]
        return result

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {item["metric"]["alertname"] for item in self.query('ALERTS{alertstate="firing"}')}


class Alertmanager(Server):
    """The newest release, with a configuration in ``folder``."""

    def __init__(self, folder: Path, port: int) -> None:
        program = str(newest_alertmanager("alertmanager"))
        command = monitoring.alertmanager_command(program, folder, f"{HOST}:{port}")
        super().__init__(command, folder, port=port, environment={"GOMAXPROCS": "1"})

    def is_up(self) -> bool:
        return answers(f"{self.url}/-/ready")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The two servers and the messages that people got."""

    prometheus: Prometheus
    alertmanager: Alertmanager
    inbox: Inbox


def alertmanager_config(folder: Path, hooks: Hooks, mails: Mails, speed: float) -> dict[str, Any]:
    """Prod's configuration with every channel enabled and sending to the sinks; its secrets are files in ``folder``."""
    secrets = {"slack_url": f"{hooks.url}/slack", "deadman_url": f"{hooks.url}/deadman"}
    for name, value in (secrets | {"pagerduty_routing_key": "k" * 32, "smtp_password": "p"}).items():
        (folder / name).write_text(value, encoding="utf-8")
    chosen = settings("prod").alertmanager.model_copy(update={"docs_url": "https://docs.example.com/churn"})
    config = alerting.config(chosen, grafana="https://grafana.example.com")
    config["global"] |= {
        "smtp_smarthost": mails.address,
        "smtp_require_tls": False,
        "pagerduty_url": f"{hooks.url}/pagerduty",
    }
    rewritten = json.dumps(scaled(config, speed)).replace(alerting.SECRETS, str(folder))
    content: dict[str, Any] = json.loads(rewritten)
    return content


@contextmanager
def watched(folder: Path, targets: Mapping[str, str], *, rules: Mapping[str, str], speed: float) -> Iterator[Watched]:
    """Run the two servers with ``targets`` (job → ``host:port``) and rule files (name → text)."""
    place = folder / "rules"
    place.mkdir(parents=True)
    for name, text in rules.items():
        (place / name).write_text(yaml.safe_dump(scaled(yaml.safe_load(text), speed)), encoding="utf-8")
    inbox, port = Inbox(), free_port()
    with ExitStack() as stack:
        hooks, mails = stack.enter_context(Hooks(inbox)), stack.enter_context(Mails(inbox))
        config = monitoring.prometheus_config(targets, rules=place, alertmanager=f"{HOST}:{port}")
        faster = scaled(config, speed)
        # Targets do not answer faster when time does: each scrape may take the whole interval.
        if speed > 1:
            faster["global"]["scrape_timeout"] = faster["global"]["scrape_interval"]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(faster), encoding="utf-8")
        settings_of_am = alertmanager_config(folder, hooks, mails, speed)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(settings_of_am), encoding="utf-8")
        prometheus = stack.enter_context(Prometheus(folder))
        # The first scrape comes after up to five seconds, whatever the speed. Until then targets are missing, of which
        # nobody must be alerted.
        wait_until(lambda: len(prometheus.query("up")) == len(targets), "every target has been looked at", pause=0.2)
        alertmanager = stack.enter_context(Alertmanager(folder, port))
        yield Watched(prometheus=prometheus, alertmanager=alertmanager, inbox=inbox)
