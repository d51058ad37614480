"""The exporter of PostgreSQL: its objects, its login, and which of its metrics are stored."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from recorded.record import wanted_metrics
from support import uses
from support.exposed import Exposed
from support.labels import problems
from support.promql import metrics
from support.recorder import STACKS, children, cloud, find, manifest, record_with, recorded, settings

from infra import edges, naming
from infra.config import Settings
from infra.workloads.postgres_exporter import ASKED, KEPT

NAME = "postgres-exporter"
PATHS = {
    "DATA_SOURCE_USER_FILE": "/run/secrets/churn/postgres/username",
    "DATA_SOURCE_PASS_FILE": "/run/secrets/churn/postgres/password",
}
SCRAPE = frozenset({"instance", "job", "namespace", "node", "pod"})
OF_A_DATABASE = SCRAPE | {"datid", "datname"}
OF_SESSIONS = {"datname", "state", "usename", "application_name", "backend_type", "wait_event_type", "wait_event"}
PINNED = {
    "pg_settings_max_connections": SCRAPE,
    "pg_stat_activity_max_tx_duration": SCRAPE | OF_SESSIONS,
    "pg_stat_database_deadlocks": OF_A_DATABASE,
    "pg_stat_database_numbackends": OF_A_DATABASE,
    "pg_stat_database_xact_commit": OF_A_DATABASE,
    "pg_stat_database_xact_rollback": OF_A_DATABASE,
    "pg_up": SCRAPE,
}
"""Labels by the source of version 0.20, which did not run here; Debian's older version, which did, has others."""


def spec(stack: str) -> dict[str, Any]:
    deployment_spec: dict[str, Any] = manifest(stack, "Deployment", NAME)["spec"]
    return deployment_spec


def container(stack: str) -> dict[str, Any]:
    (first,) = spec(stack)["template"]["spec"]["containers"]
    only: dict[str, Any] = first
    return only


def environment(of_container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in of_container["env"]}


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    secret = (
        ("Secret", f"{NAME}-postgres-monitor-secret")
        if stack == "dev"
        else ("SecretProviderClass", f"{NAME}-postgres-monitor-provider-class")
    )
    assert children(recorded(stack), NAME) == {
        ("Deployment", f"{NAME}-deployment"),
        ("ServiceAccount", f"{NAME}-account"),
        secret,
    }


@pytest.mark.parametrize("stack", STACKS)
def test_its_pod_is_alone_and_writes_nothing(stack: str) -> None:
    pod = spec(stack)["template"]["spec"]
    assert (spec(stack)["replicas"], spec(stack)["strategy"]) == (1, {"type": "Recreate"})
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsUser"] == 65534
    assert container(stack)["securityContext"]["readOnlyRootFilesystem"] is True
    assert [(mount["mountPath"], mount["readOnly"]) for mount in container(stack)["volumeMounts"]] == [
        ("/run/secrets/churn/postgres", True)
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_no_probe_asks_the_database(stack: str) -> None:
    exporter = container(stack)
    assert exporter["livenessProbe"]["tcpSocket"] == {"port": "http"}
    pages = {exporter[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness")}
    assert pages == {"/"}


def test_in_the_cluster_it_asks_the_pod_and_reads_its_login_from_files() -> None:
    uri = "postgres.churn-mlops.svc:5432/postgres?sslmode=disable&connect_timeout=2"
    assert environment(container("dev")) == {"DATA_SOURCE_URI": uri, **PATHS}


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_outside_of_the_cluster_it_verifies_the_server(stack: str) -> None:
    variables = environment(container(stack))
    host = cloud(stack).database.cidrs
    assert host, "the database is outside"
    options = "sslmode=verify-full&connect_timeout=2&sslrootcert=/run/secrets/churn/postgres/ca.pem"
    assert variables["DATA_SOURCE_URI"].endswith(f":5432/postgres?{options}")
    assert {name: variables[name] for name in PATHS} == PATHS


def test_on_aws_with_the_database_in_a_pod_it_asks_the_pod() -> None:
    deployment = find(record_with("prod", database={"kind": "in-cluster"}), "Deployment", NAME).manifest()
    (exporter,) = deployment["spec"]["template"]["spec"]["containers"]
    assert environment(exporter)["DATA_SOURCE_URI"].startswith("postgres.churn-mlops.svc:5432/postgres?sslmode=disable")


@pytest.mark.parametrize("stack", STACKS)
def test_it_reaches_the_database_and_only_prometheus_reaches_it(stack: str) -> None:
    chosen: Settings = settings(stack)
    of_it = [
        edge for edge in edges.edges(chosen, cloud(stack)) if naming.POSTGRES_EXPORTER in {edge.source, edge.target}
    ]
    inward = [edge.source for edge in of_it if edge.target == naming.POSTGRES_EXPORTER]
    outward = [(edge.target.name, edge.port) for edge in of_it if edge.source == naming.POSTGRES_EXPORTER]
    assert inward == [naming.PROMETHEUS]
    assert outward == [("postgres" if stack == "dev" else "database", 5432)]


@pytest.mark.parametrize("stack", STACKS)
def test_exactly_the_metrics_that_are_used_are_stored(stack: str) -> None:
    text = find(recorded(stack), "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    (job,) = (job for job in yaml.safe_load(text)["scrape_configs"] if job["job_name"] == NAME)
    assert job["metric_relabel_configs"] == [{"source_labels": ["__name__"], "regex": KEPT, "action": "keep"}]
    assert {metric for metric in wanted_metrics() if metric.startswith("pg_")} == set(ASKED)
    assert all(re.fullmatch(KEPT, metric) for metric in (*ASKED, "process_cpu_seconds_total"))
    assert not re.fullmatch(KEPT, "pg_settings_max_wal_size_bytes")


def test_rules_and_panels_are_right_for_the_pinned_version_too() -> None:
    assert PINNED.keys() == set(ASKED)
    there = Exposed({metric: {NAME: labels} for metric, labels in PINNED.items()})
    about_it = [use for use in uses.every() if metrics(use.expression) & set(ASKED)]
    wrong = [(use.where, problems(use.expression, there, use.shown)) for use in about_it]
    assert about_it
    assert [pair for pair in wrong if pair[1]] == []


def test_all_metrics_of_other_jobs_are_stored() -> None:
    text = find(recorded("dev"), "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    filtered = [job["job_name"] for job in yaml.safe_load(text)["scrape_configs"] if "metric_relabel_configs" in job]
    assert sorted(filtered) == ["cadvisor", "kubelet", NAME]
