"""Prometheus' configuration as plain data, made from a list of targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.naming import ALERTMANAGER, BLACKBOX, PROJECT, PROMETHEUS, Workload

INTERVAL = "15s"
TIMEOUT = "10s"
RULES = "/etc/prometheus/rules"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMESPACES_RE = f"{PROJECT}-.+"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A port of a workload that serves metrics.

    ``job`` is the workload's name, with ``role`` appended where a workload has two such ports. ``own_labels`` is for
    exporters that report on other workloads: the ``namespace``, ``pod`` and ``job`` labels of their metrics are kept.
    ``keep`` is a regular expression for the metrics to store; an empty one stores all.
    """

    workload: Workload
    port: str = "http"
    role: str = ""
    own_labels: bool = False
    keep: str = ""

    @property
    def job(self) -> str:
        """Value of the `job` label."""
        return f"{self.workload.name}-{self.role}" if self.role else self.workload.name


def _pods(workload: Workload) -> dict[str, Any]:
    label = ",".join(f"{key}={value}" for key, value in sorted(workload.selector.items()))
    return {
        "role": "pod",
        "namespaces": {"names": [workload.namespace]},
        "selectors": [{"role": "pod", "label": label}],
    }


def _keep(label: str, regex: str) -> dict[str, Any]:
    return {"source_labels": [label], "regex": regex, "action": "keep"}


def _copy(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target}


def _running(port: str) -> list[dict[str, Any]]:
    """Select one address for each running pod: a finished or evicted pod is not a target that is down."""
    return [
        _keep("__meta_kubernetes_pod_container_port_name", port),
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed", "action": "drop"},
    ]


def pod_job(target: Target) -> dict[str, Any]:
    """Return the scrape job for a workload's pods."""
    place = [_copy("namespace", "namespace"), _copy("pod_name", "pod"), _copy("pod_node_name", "node")]
    drop_others = {"metric_relabel_configs": [_keep("__name__", target.keep)]} if target.keep else {}
    return {
        "job_name": target.job,
        **({"honor_labels": True} if target.own_labels else {}),
        "kubernetes_sd_configs": [_pods(target.workload)],
        "relabel_configs": [*_running(target.port), *([] if target.own_labels else place)],
        **drop_others,
    }


def node_job(job: str, path: str, *, keep: str, verify: bool) -> dict[str, Any]:
    """Return a scrape job for every kubelet; ``keep`` matches ``<metric>;<namespace>`` of the series to store.

    ``verify`` must be off where kubelets sign their own certificates (kind, minikube).
    """
    return {
        "job_name": job,
        "scheme": "https",
        "metrics_path": path,
        "authorization": {"credentials_file": f"{ACCOUNT}/token"},
        "tls_config": {"ca_file": f"{ACCOUNT}/ca.crt"} if verify else {"insecure_skip_verify": True},
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [_copy("node_name", "node")],
        "metric_relabel_configs": [{"source_labels": ["__name__", "namespace"], "regex": keep, "action": "keep"}],
    }


def probe_job(address: str) -> dict[str, Any]:
    """Return the job that requests ``address`` through the blackbox exporter; its metrics are about that address."""
    return {
        "job_name": "probe",
        "metrics_path": "/probe",
        "params": {"module": ["edge"], "target": [address]},
        "static_configs": [{"targets": [BLACKBOX.url().removeprefix("http://")]}],
        "relabel_configs": [{"target_label": "instance", "replacement": address}],
    }


def own_job(job: str, port: int) -> dict[str, Any]:
    """Return the scrape job for a container of Prometheus' own pod; each replica sees its own alone."""
    return {
        "job_name": job,
        "static_configs": [{"targets": [f"localhost:{port}"]}],
        "relabel_configs": [{"target_label": "namespace", "replacement": PROMETHEUS.namespace}],
    }


def config(
    targets: Iterable[Target],
    *,
    stack: str,
    verify_kubelets: bool,
    beside: Mapping[str, int] | None = None,
    probed: str | None = None,
) -> dict[str, Any]:
    """Return the whole `prometheus.yml`.

    ``beside`` has the ports of other containers of Prometheus' pod by their job, ``probed`` an address of the edge that
    is requested as clients do.

    The replicas of a pair differ only in the external label ``replica``. Alerts are sent without it, so Alertmanager
    sees one alert instead of two.
    """
    own = [own_job(job, port) for job, port in {PROMETHEUS.name: PROMETHEUS.ports["http"], **(beside or {})}.items()]
    kubelet = node_job("kubelet", "/metrics", keep=f"kubelet_volume_stats_.+;{NAMESPACES_RE}", verify=verify_kubelets)
    cadvisor = node_job(
        "cadvisor",
        "/metrics/cadvisor",
        keep=f"machine_(cpu_cores|memory_bytes);|container_.+;{NAMESPACES_RE}",
        verify=verify_kubelets,
    )
    return {
        "global": {
            "scrape_interval": INTERVAL,
            "scrape_timeout": TIMEOUT,
            "evaluation_interval": INTERVAL,
            "external_labels": {"stack": stack, "replica": "${POD_NAME}"},
        },
        "rule_files": [f"{RULES}/*.yaml"],
        "alerting": {
            "alert_relabel_configs": [{"regex": "replica", "action": "labeldrop"}],
            "alertmanagers": [{"kubernetes_sd_configs": [_pods(ALERTMANAGER)], "relabel_configs": _running("http")}],
        },
        "scrape_configs": [*own, *map(pod_job, targets), *([probe_job(probed)] if probed else []), kubelet, cadvisor],
    }
