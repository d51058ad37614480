"""Blackbox exporter: its objects, and what it requests from the edge."""

from __future__ import annotations

import pytest
import yaml
from support.recorder import STACKS, children, find, manifest, record_with, recorded


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    assert children(recorded(stack), "blackbox") == {
        ("ConfigMap", "blackbox-config"),
        ("Deployment", "blackbox-deployment"),
        ("Service", "blackbox-service"),
        ("ServiceAccount", "blackbox-account"),
    }


def test_it_asks_as_a_client_of_the_stack_does() -> None:
    text = find(recorded("prod"), "ConfigMap", "blackbox-config").inputs["data"]["blackbox.yml"]
    http = yaml.safe_load(text)["modules"]["edge"]["http"]
    assert http["headers"]["Host"] == http["tls_config"]["server_name"] == "api.churn.example.com"
    assert http["fail_if_not_ssl"] is True


def test_prometheus_probes_the_edge_through_it() -> None:
    text = find(recorded("prod"), "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    job = next(job for job in yaml.safe_load(text)["scrape_configs"] if job["job_name"] == "probe")
    assert job["params"]["target"] == ["https://ingress.churn-ingress.svc:443/openapi.json"]
    assert job["static_configs"] == [{"targets": ["blackbox.churn-monitoring.svc:9115"]}]


def test_its_pod_writes_nothing() -> None:
    (container,) = manifest("dev", "Deployment", "blackbox")["spec"]["template"]["spec"]["containers"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_without_an_edge_there_is_nothing_to_probe() -> None:
    recording = record_with("dev", ingress={"kind": "none"})
    assert not [resource for resource in recording.resources if resource.name.startswith("blackbox")]
    assert "job_name: probe" not in find(recording, "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
