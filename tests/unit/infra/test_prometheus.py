"""Prometheus: what it may read, what it scrapes, and how much it stores."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support.recorder import STACKS, children, cloud, find, manifest, record_with, recorded, settings

from infra import edges, naming
from infra.kit import scrape
from infra.workloads.prometheus import TARGETS

WATCHED = ("churn-ingress", "churn-monitoring", "churn-nodes", "churn-serving")
OBJECTS = {
    ("ClusterRole", "prometheus-cluster-role"),
    ("ClusterRoleBinding", "prometheus-cluster-binding"),
    ("ConfigMap", "prometheus-config"),
    ("ConfigMap", "prometheus-rules"),
    ("Service", "prometheus-pods-service"),
    ("Service", "prometheus-service"),
    ("ServiceAccount", "prometheus-account"),
    ("StatefulSet", "prometheus-statefulset"),
    *(("Role", f"prometheus-{namespace}-role") for namespace in WATCHED),
    *(("RoleBinding", f"prometheus-{namespace}-binding") for namespace in WATCHED),
}
REPLICAS = {"dev": 1, "staging": 1, "prod": 2}


def config(stack: str) -> dict[str, Any]:
    text = find(recorded(stack), "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def jobs(stack: str) -> dict[str, dict[str, Any]]:
    return {job["job_name"]: job for job in config(stack)["scrape_configs"]}


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    budget = {("PodDisruptionBudget", "prometheus-budget")} if REPLICAS[stack] > 1 else set()
    claims = {("PersistentVolumeClaim", f"prometheus-data-{index}") for index in range(REPLICAS[stack])}
    bucket = {("ConfigMap", "prometheus-bucket")} if stack == "prod" else set()
    assert children(recorded(stack), "prometheus") == OBJECTS | claims | budget | bucket


@pytest.mark.parametrize("stack", STACKS)
def test_it_may_find_pods_where_there_are_targets_and_read_the_metrics_of_nodes(stack: str) -> None:
    look = ["get", "list", "watch"]
    for namespace in WATCHED:
        role = manifest(stack, "Role", "prometheus", namespace)
        assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": look}]
        binding = manifest(stack, "RoleBinding", "prometheus", namespace)
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "prometheus", "namespace": "churn-monitoring"}
        ]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", "prometheus")
    assert manifest(stack, "ClusterRole", "churn-prometheus")["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": look},
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    ]
    binding = manifest(stack, "ClusterRoleBinding", "churn-prometheus")
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("ClusterRole", "churn-prometheus")


@pytest.mark.parametrize("stack", STACKS)
def test_its_pods(stack: str) -> None:
    spec = manifest(stack, "StatefulSet", "prometheus")["spec"]
    pod = spec["template"]["spec"]
    container, *beside = pod["containers"]
    assert [each["name"] for each in beside] == (["thanos-sidecar"] if stack == "prod" else [])
    assert spec["replicas"] == REPLICAS[stack]
    assert pod["automountServiceAccountToken"] is True
    assert pod["securityContext"]["runAsUser"] == 65534
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [m["mountPath"] for m in container["volumeMounts"] if not m["readOnly"]] == ["/prometheus"]
    assert {key for volume in pod["volumes"] for key in volume} == {"name", "configMap"}
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/-/ready", "readiness": "/-/ready", "liveness": "/-/healthy"}
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 900


@pytest.mark.parametrize("stack", STACKS)
def test_it_keeps_fifteen_days_and_never_more_than_its_volume(stack: str) -> None:
    spec = manifest(stack, "StatefulSet", "prometheus")["spec"]
    args = spec["template"]["spec"]["containers"][0]["args"]
    for index in range(REPLICAS[stack]):
        claim = manifest(stack, "PersistentVolumeClaim", f"data-prometheus-{index}")
        assert claim["spec"]["resources"]["requests"] == {"storage": "10Gi"}
    assert "--storage.tsdb.retention.time=15d" in args
    assert "--storage.tsdb.retention.size=8192MB" in args
    assert not [arg for arg in args if arg.startswith(("--web.enable-admin-api", "--web.enable-lifecycle"))]


@pytest.mark.parametrize("stack", STACKS)
def test_volumes_are_kept_where_the_state_is_protected(stack: str) -> None:
    protected = stack != "dev"
    owner = find(recorded(stack), "StatefulSet", "prometheus")
    assert owner.inputs["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain", "whenScaled": "Retain",
    }  # fmt: skip
    for resource in (owner, find(recorded(stack), "PersistentVolumeClaim", "data-prometheus-0")):
        assert (resource.protect, resource.retain_on_delete) == (protected, protected)


@pytest.mark.parametrize("stack", STACKS)
def test_grafana_stays_with_one_replica_and_pods_have_names(stack: str) -> None:
    service = manifest(stack, "Service", "prometheus")["spec"]
    assert (service["type"], service["sessionAffinity"]) == ("ClusterIP", "ClientIP")
    assert manifest(stack, "Service", "prometheus-pods")["spec"]["clusterIP"] == "None"
    assert manifest(stack, "StatefulSet", "prometheus")["spec"]["serviceName"] == "prometheus-pods"


@pytest.mark.parametrize("stack", STACKS)
def test_it_scrapes_every_fifteen_seconds_and_says_which_stack_and_replica(stack: str) -> None:
    defaults = config(stack)["global"]
    assert (defaults["scrape_interval"], defaults["evaluation_interval"]) == ("15s", "15s")
    assert defaults["external_labels"] == {"stack": stack, "replica": "${POD_NAME}"}
    env = manifest(stack, "StatefulSet", "prometheus")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


def test_replicas_of_a_pair_send_the_same_alert() -> None:
    assert config("prod")["alerting"]["alert_relabel_configs"] == [{"regex": "replica", "action": "labeldrop"}]


@pytest.mark.parametrize("stack", STACKS)
def test_there_is_a_job_named_like_each_workload_that_serves_metrics(stack: str) -> None:
    thanos = {"thanos-compact", "thanos-query", "thanos-sidecar", "thanos-store"} if stack == "prod" else set()
    assert jobs(stack).keys() == thanos | {
        "alertmanager", "api", "cadvisor", "grafana", "ingress", "kube-state-metrics", "kube-state-metrics-telemetry",
        "blackbox", "kubelet", "node-exporter", "postgres-exporter", "probe", "prometheus", "pushgateway",
    }  # fmt: skip


@pytest.mark.parametrize("stack", STACKS)
def test_it_scrapes_exactly_what_it_may_connect_to(stack: str) -> None:
    chosen = settings(stack)
    open_ports = {
        (edge.target, edge.port)
        for edge in edges.edges(chosen, cloud(stack))
        if edge.source == naming.PROMETHEUS and isinstance(edge.target, naming.Workload)
    }
    present = set(edges.workloads(chosen))
    targets = [target for target in TARGETS if target.workload in present]
    assert open_ports == {(target.workload, target.workload.ports[target.port]) for target in targets}


def test_each_replica_scrapes_the_sidecar_of_its_own_pod() -> None:
    _, sidecar = manifest("prod", "StatefulSet", "prometheus")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    job = jobs("prod")[sidecar["name"]]
    assert job["static_configs"] == [{"targets": [f"localhost:{ports['thanos-http']}"]}]
    assert job["relabel_configs"] == [{"target_label": "namespace", "replacement": "churn-monitoring"}]


@pytest.mark.parametrize("target", TARGETS, ids=[target.job for target in TARGETS])
def test_a_job_finds_the_pods_of_its_workload_by_label_and_port_name(target: scrape.Target) -> None:
    job = jobs("prod")[target.job]
    (discovery,) = job["kubernetes_sd_configs"]
    label = f"app.kubernetes.io/name={target.workload.name},app.kubernetes.io/part-of=churn"
    assert discovery == {
        "role": "pod",
        "namespaces": {"names": [target.workload.namespace]},
        "selectors": [{"role": "pod", "label": label}],
    }
    by_port, dropped, *named = job["relabel_configs"]
    port = "__meta_kubernetes_pod_container_port_name"
    assert by_port == {"source_labels": [port], "regex": target.port, "action": "keep"}
    assert target.port in target.workload.ports
    assert (dropped["regex"], dropped["action"]) == ("Succeeded|Failed", "drop")
    own = target.job in {"pushgateway", "kube-state-metrics"}
    assert job.get("honor_labels", False) is own
    assert [rule["target_label"] for rule in named] == ([] if own else ["namespace", "pod", "node"])


def test_a_stack_without_an_ingress_does_not_scrape_one() -> None:
    recording = record_with("dev", ingress={"kind": "none"})
    text = find(recording, "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    assert "ingress" not in {job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]}
    assert ("Role", "prometheus-churn-ingress-role") not in children(recording, "prometheus")
    assert "ingress.yaml" not in find(recording, "ConfigMap", "prometheus-rules").inputs["data"]


@pytest.mark.parametrize("job", ["kubelet", "cadvisor"])
def test_kubelets_are_verified_where_the_cluster_signs_their_certificates(job: str) -> None:
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert jobs("prod")[job]["tls_config"] == {"ca_file": f"{account}/ca.crt"}
    assert jobs("dev")[job]["tls_config"] == {"insecure_skip_verify": True}
    for stack in ("dev", "prod"):
        scrape_job = jobs(stack)[job]
        assert scrape_job["scheme"] == "https"
        assert scrape_job["authorization"] == {"credentials_file": f"{account}/token"}
        assert scrape_job["kubernetes_sd_configs"] == [{"role": "node"}]


@pytest.mark.parametrize("stack", STACKS)
def test_it_tells_every_alertmanager(stack: str) -> None:
    (alertmanagers,) = config(stack)["alerting"]["alertmanagers"]
    (discovery,) = alertmanagers["kubernetes_sd_configs"]
    assert discovery["namespaces"] == {"names": ["churn-monitoring"]}
    assert "app.kubernetes.io/name=alertmanager" in discovery["selectors"][0]["label"]
    assert alertmanagers["relabel_configs"][0]["regex"] == "http"


@pytest.mark.parametrize("stack", STACKS)
def test_a_changed_rule_rolls_the_pods(stack: str) -> None:
    for role in ("config", "rules"):
        config_map = find(recorded(stack), "ConfigMap", f"prometheus-{role}")
        assert "name" not in config_map.inputs["metadata"], "named by Pulumi after its content"
        volumes = manifest(stack, "StatefulSet", "prometheus")["spec"]["template"]["spec"]["volumes"]
        used = {volume["name"]: volume["configMap"]["name"] for volume in volumes}
        assert used[role] == config_map.outputs["metadata"]["name"]


def test_a_drain_takes_one_of_a_pair() -> None:
    budget = manifest("prod", "PodDisruptionBudget", "prometheus")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
