"""Each stack's configuration of Prometheus and Alertmanager is accepted by the servers' own tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.programs import program, run
from support.recorder import STACKS, find, record_with, recorded

from infra.kit import scrape
from ops.stack.recording import Recording

EVERY_CHANNEL = {"slack": True, "slack_channel": "#a", "email": True, "pagerduty": True, "deadman": True} | {
    "email_to": "a@example.com", "email_from": "b@example.com", "smtp_host": "smtp.example.com", "smtp_user": "b",
}  # fmt: skip


def _without_discovery(content: Any) -> Any:
    """The configuration with fixed targets, since Debian builds Prometheus without Kubernetes' service discovery."""
    if isinstance(content, list):
        return [_without_discovery(item) for item in content]
    if not isinstance(content, dict):
        return content
    rest = {key: _without_discovery(value) for key, value in content.items() if key != "kubernetes_sd_configs"}
    return rest if rest.keys() == content.keys() else {"static_configs": [{"targets": ["localhost:1"]}], **rest}


def _prometheus_files(recording: Recording, folder: Path) -> Path:
    """Write `prometheus.yml`, its rules, and stand-ins for the account's files below ``folder``."""
    rules, account = folder / "rules", folder / "account"
    for place in (rules, account):
        place.mkdir()
    for name in ("token", "ca.crt"):
        (account / name).touch()
    for name, text in find(recording, "ConfigMap", "prometheus-rules").inputs["data"].items():
        (rules / name).write_text(text, encoding="utf-8")
    text = find(recording, "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    path = folder / "prometheus.yml"
    content = yaml.safe_load(text.replace(scrape.ACCOUNT, str(account)).replace(scrape.RULES, str(rules)))
    path.write_text(yaml.safe_dump(_without_discovery(content)), encoding="utf-8")
    return path


@pytest.mark.parametrize("stack", STACKS)
def test_prometheus_accepts_the_configuration_of(stack: str, promtool: str, tmp_path: Path) -> None:
    output = run(promtool, "check", "config", str(_prometheus_files(recorded(stack), tmp_path)))
    assert "rule files found" in output


def test_promtool_refuses_a_wrong_configuration(promtool: str, tmp_path: Path) -> None:
    path = _prometheus_files(recorded("dev"), tmp_path)
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["scrape_configs"][1]["honor_label"] = True
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(AssertionError, match="honor_label"):
        run(promtool, "check", "config", str(path))


@pytest.mark.parametrize("stack", [*STACKS, "every channel"])
def test_alertmanager_accepts_the_configuration_of(stack: str, amtool: str, tmp_path: Path) -> None:
    recording = recorded(stack) if stack in STACKS else record_with("staging", alertmanager=EVERY_CHANNEL)
    path = tmp_path / "alertmanager.yml"
    path.write_text(
        find(recording, "ConfigMap", "alertmanager-config").inputs["data"]["alertmanager.yml"], encoding="utf-8"
    )
    run(amtool, "check-config", str(path))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=critical", "critical"),
        ("severity=warning", "warning"),
        ("severity=info", "info"),
        ("severity=page", "critical"),
        ("alertname=Watchdog severity=info", "deadman"),
    ],
)
def test_an_alert_goes_to(labels: str, receiver: str, amtool: str, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    text = find(recorded("prod"), "ConfigMap", "alertmanager-config").inputs["data"]["alertmanager.yml"]
    path.write_text(text, encoding="utf-8")
    assert run(amtool, "config", "routes", "test", f"--config.file={path}", *labels.split()).strip() == receiver


def test_every_alert_of_every_rule_goes_to_a_receiver_that_tells_somebody(
    alerts: dict[str, tuple[str, dict[str, Any]]], amtool: str, tmp_path: Path
) -> None:
    path = tmp_path / "alertmanager.yml"
    text = find(recorded("prod"), "ConfigMap", "alertmanager-config").inputs["data"]["alertmanager.yml"]
    path.write_text(text, encoding="utf-8")
    real = {receiver["name"] for receiver in yaml.safe_load(text)["receivers"] if len(receiver) > 1}
    assert real == {"critical", "warning", "info", "deadman"}
    for name, (_, rule) in alerts.items():
        labels = [f"{key}={value}" for key, value in {"alertname": name, **rule["labels"]}.items()]
        receiver = run(amtool, "config", "routes", "test", f"--config.file={path}", *labels).strip()
        assert receiver == ("deadman" if name == "Watchdog" else rule["labels"]["severity"]), name
        assert receiver in real


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_debians_alertmanager_accepts_it_too_without_the_dead_mans_service(stack: str, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    text = find(recorded(stack), "ConfigMap", "alertmanager-config").inputs["data"]["alertmanager.yml"]
    path.write_text(text, encoding="utf-8")
    run(program("amtool", "prometheus-alertmanager"), "check-config", str(path))
