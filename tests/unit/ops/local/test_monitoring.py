"""Prometheus and Alertmanager of the embedded platform: their configuration, checked by their own tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.programs import program, run

from infra import naming as n
from infra.rules_files import rule_files
from ops.local import monitoring


def test_both_accept_their_configuration(tmp_path: Path) -> None:
    monitoring.write(tmp_path, targets={"api": "127.0.0.1:8000"}, alertmanager="127.0.0.1:9093")
    run(program("promtool", "prometheus"), "check", "config", str(tmp_path / "prometheus.yml"))
    run(program("amtool", "prometheus-alertmanager"), "check-config", str(tmp_path / "alertmanager.yml"))


def test_a_laptop_has_the_rules_of_the_workloads_that_it_runs() -> None:
    files = rule_files(monitoring.WATCHED)
    assert {name.split(".")[0] for name in files} == {"api", "prometheus", "alertmanager", "prices"}
    assert "api.drift.yaml" in files
    assert rule_files([n.DRILL]).keys() == {"drill.yaml", "prices.yaml"}


def test_old_rules_are_removed(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "gone.yaml").touch()
    monitoring.write(tmp_path, targets={}, alertmanager="127.0.0.1:9093")
    assert not (tmp_path / "rules" / "gone.yaml").exists()


def test_each_job_is_scraped_at_its_address(tmp_path: Path) -> None:
    monitoring.write(tmp_path, targets={"api": "127.0.0.1:8123"}, alertmanager="127.0.0.1:9093")
    config = json.loads((tmp_path / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "api"
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:8123"]
    assert all(yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for path in (tmp_path / "rules").iterdir())


@pytest.mark.parametrize(("programs", "complete"), [(("prometheus",), False), (("prometheus", "alertmanager"), True),
    (("prometheus", "prometheus-alertmanager"), True), ((), False)])  # fmt: skip
def test_it_needs_both_programs(
    programs: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, complete: bool
) -> None:
    for name in programs:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (monitoring.installed() is not None) is complete
