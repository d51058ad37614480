"""The edge: the controller's rights, its arguments, and how clients reach it."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorder import STACKS, children, find, manifest, record_with, recorded, settings

from infra import naming as n
from infra.workloads import ingress
from infra.workloads import ingress_nginx as nginx
from infra.workloads.ingress_access import ROUTED
from infra.workloads.ingress_problems import http_snippets, server_snippets
from infra.workloads.routes import ROUTES

HOME = n.INGRESS_NAMESPACE
SCOPES = (HOME, *ROUTED)
OBJECTS = {
    ("ClusterRole", "ingress-cluster-role"),
    ("ClusterRoleBinding", "ingress-cluster-binding"),
    ("ConfigMap", "ingress-config"),
    ("Deployment", "ingress-deployment"),
    ("IngressClass", "ingress-class"),
    ("Service", "ingress-service"),
    ("ServiceAccount", "ingress-account"),
    *(("Role", f"ingress-{scope}-role") for scope in SCOPES),
    *(("RoleBinding", f"ingress-{scope}-binding") for scope in SCOPES),
}
SEVERAL = ("staging", "prod")
"""Stacks with more than one replica."""


def spec(stack: str) -> dict[str, Any]:
    deployment_spec: dict[str, Any] = manifest(stack, "Deployment", "ingress")["spec"]
    return deployment_spec


def pod(stack: str) -> dict[str, Any]:
    pod_spec: dict[str, Any] = spec(stack)["template"]["spec"]
    return pod_spec


def container(stack: str) -> dict[str, Any]:
    (only,) = pod(stack)["containers"]
    return dict(only)


def arguments(stack: str) -> dict[str, str]:
    return dict(argument.split("=", 1) for argument in container(stack)["args"])


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    budget = {("PodDisruptionBudget", "ingress-budget")} if stack in SEVERAL else set()
    internal = set() if stack == "dev" else {("Service", "ingress-internal-service")}
    assert children(recorded(stack), "ingress") == OBJECTS | budget | internal
    assert children(recorded(stack), "certificate") == {("Secret", "certificate-secret")}
    assert children(recorded(stack), "routes") == {("Ingress", f"routes-{route.workload.name}") for route in ROUTES}


def test_without_an_ingress_nothing_of_it_is_made() -> None:
    recording = record_with("prod", ingress={"kind": "none"})
    kinds = {item.inputs["kind"] for item in recording.resources if item.is_kubernetes}
    assert not kinds & {"Ingress", "IngressClass"}
    assert not [item.name for item in recording.resources if item.type.startswith(("tls:", "pulumi:providers:tls"))]
    assert not {name for name in recording.outputs if name.endswith("_url") or name == "certificate"}


@pytest.mark.parametrize("stack", STACKS)
def test_pod(stack: str) -> None:
    assert pod(stack)["automountServiceAccountToken"] is True
    assert pod(stack)["securityContext"]["sysctls"] == [
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    ], "ports below 1024 also where the runtime withholds the capability from a user other than root"
    ports = {port["name"]: port["containerPort"] for port in container(stack)["ports"]}
    assert ports == {"http": 80, "https": 443, "metrics": 9113, "ready": 8081}
    written = {mount["mountPath"] for mount in container(stack)["volumeMounts"] if not mount["readOnly"]}
    assert written == {"/etc/nginx", "/var/cache/nginx", "/var/lib/nginx", "/var/lib/nginx/state", "/var/log/nginx"}
    assert all(volume["emptyDir"]["sizeLimit"] for volume in pod(stack)["volumes"])
    (before,) = pod(stack)["initContainers"]
    assert before["command"] == ["cp", "-vdR", "/etc/nginx/.", "/mnt/etc"]
    for each in (before, container(stack)):
        assert each["image"].startswith("docker.io/nginx/nginx-ingress:5.")
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert each["securityContext"]["runAsUser"] == 101
    assert container(stack)["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    assert before["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("stack", STACKS)
def test_probes_and_end(stack: str) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(stack)[probe]["httpGet"] == {"path": "/nginx-ready", "port": "ready"}
    # What the seconds behind a balancer of AWS must be is in `tests/policy/test_edge_rollout.py`.
    seconds = ingress.PRE_STOP_SECONDS if stack == "dev" else ingress.BALANCED_PRE_STOP_SECONDS
    assert container(stack)["lifecycle"] == {"preStop": {"sleep": {"seconds": seconds}}}
    config = manifest(stack, "ConfigMap", "ingress-config")["data"]
    assert config["worker-shutdown-timeout"] == f"{ingress.SHUTDOWN_SECONDS}s"
    assert pod(stack)["terminationGracePeriodSeconds"] > seconds + ingress.SHUTDOWN_SECONDS


@pytest.mark.parametrize("stack", STACKS)
def test_replicas_survive_a_drain_and_a_zone(stack: str) -> None:
    replicas = settings(stack).ingress.replicas
    assert spec(stack)["replicas"] == replicas
    assert spec(stack)["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    if stack in SEVERAL:
        assert replicas > 1
        assert manifest(stack, "PodDisruptionBudget", "ingress")["spec"]["maxUnavailable"] == 1
        by_zone = pod(stack)["topologySpreadConstraints"][0]
        assert (by_zone["topologyKey"], by_zone["whenUnsatisfiable"]) == (
            "topology.kubernetes.io/zone",
            "DoNotSchedule",
        )


@pytest.mark.parametrize("stack", STACKS)
def test_arguments(stack: str) -> None:
    recording = recorded(stack)
    config = find(recording, "ConfigMap", "ingress-config").outputs["metadata"]["name"]
    secret = find(recording, "Secret", "certificate-secret").outputs["metadata"]["name"]
    assert arguments(stack) == {
        "-nginx-configmaps": f"{HOME}/{config}",
        "-wildcard-tls-secret": f"{HOME}/{secret}",
        "-default-server-tls-secret": f"{HOME}/{secret}",
        "-ingress-class": "churn",
        "-watch-namespace": "churn-ingress,churn-serving,churn-mlops,churn-monitoring",
        "-watch-secret-namespace": "churn-ingress",
        "-enable-custom-resources": "false",
        "-enable-snippets": "false",
        "-enable-telemetry-reporting": "false",
        "-report-ingress-status": "true",
        "-external-service": "ingress",
        "-enable-leader-election": "true",
        "-leader-election-lock-name": "ingress-leader",
        "-nginx-status": "false",
        "-ready-status": "true",
        "-ready-status-port": "8081",
        "-enable-prometheus-metrics": "true",
        "-prometheus-metrics-listen-port": "9113",
        "-disable-ipv6": "true",
        "-log-format": "json",
    }


Right = tuple[str, str, tuple[str, ...]]
"""A resource, a verb, and the names to which the right is limited."""


def granted(stack: str, kind: str, name: str, namespace: str | None = None) -> set[Right]:
    rules = manifest(stack, kind, name, namespace)["rules"]
    return {
        (f"{group}/{resource}".lstrip("/"), verb, tuple(rule.get("resourceNames", ())))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def reads(*resources: str) -> set[Right]:
    return {(resource, verb, ()) for resource in resources for verb in ("get", "list", "watch")}


@pytest.mark.parametrize("stack", STACKS)
def test_rights(stack: str) -> None:
    anywhere: set[Right] = {
        ("events", "create", ()),
        ("events", "patch", ()),
        ("networking.k8s.io/ingresses/status", "update", ()),
    }
    anywhere |= reads("services", "pods", "discovery.k8s.io/endpointslices", "networking.k8s.io/ingresses")
    at_home = reads("configmaps", "secrets") | {
        ("pods", "update", ()),
        ("apps/replicasets", "get", ()),
        ("coordination.k8s.io/leases", "create", ()),
        ("coordination.k8s.io/leases", "get", ("ingress-leader",)),
        ("coordination.k8s.io/leases", "update", ("ingress-leader",)),
    }
    for scope in SCOPES:
        expected = anywhere | {("namespaces", "get", (scope,))} | (at_home if scope == HOME else set())
        assert granted(stack, "Role", "ingress", scope) == expected
    its_class = {("networking.k8s.io/ingressclasses", "get", ("churn",))}
    assert granted(stack, "ClusterRole", "churn-ingress") == its_class


@pytest.mark.parametrize("stack", STACKS)
def test_only_the_controller_has_these_rights_and_it_starts_after_it_has_them(stack: str) -> None:
    recording = recorded(stack)
    bindings = [find(recording, "RoleBinding", "ingress", scope) for scope in SCOPES]
    bindings.append(find(recording, "ClusterRoleBinding", "churn-ingress"))
    for binding in bindings:
        assert binding.inputs["subjects"] == [{"kind": "ServiceAccount", "name": "ingress", "namespace": HOME}]
    needed = {item.urn for item in (*bindings, find(recording, "IngressClass", "churn"))}
    assert needed <= set(find(recording, "Deployment", "ingress").depends_on)


@pytest.mark.parametrize(
    ("cpu_limit", "processes"), [("500m", 1), ("1", 1), ("1001m", 2), ("2", 2), ("1.5", 2), ("0", 1)]
)
def test_workers_are_as_many_as_the_limit_has_cpus(cpu_limit: str, processes: int) -> None:
    assert nginx.workers(cpu_limit) == processes


def test_nginx_config() -> None:
    config = nginx.config("1", shutdown_seconds=7, max_bodies={"api": "2 MiB"})
    assert config == {
        # What these do is tested on a real nginx: `tests/services/test_edge_problems.py`.
        "http-snippets": http_snippets({"api": "2 MiB"}),
        "server-snippets": server_snippets(),
        "log-format": nginx.LOG_FORMAT,
        "default-server-return": "404",
        "hsts": "true",
        "hsts-max-age": "31536000",
        "http-redirect-code": "308",
        "keepalive": "32",
        "proxy-connect-timeout": "5s",
        "proxy-max-temp-file-size": "0",
        "server-tokens": "false",
        "ssl-ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
        "ssl-protocols": "TLSv1.2 TLSv1.3",
        "ssl-redirect": "true",
        "worker-connections": "4096",
        "worker-processes": "1",
        "worker-shutdown-timeout": "7s",
    }


INTERNAL = {"ingress": "internet-facing", "ingress-internal": "internal"}


@pytest.mark.parametrize(
    ("stack", "name"), [("dev", "ingress"), *((stack, name) for stack in SEVERAL for name in INTERNAL)]
)
def test_service_keeps_the_address_of_clients(stack: str, name: str) -> None:
    service = manifest(stack, "Service", name)
    assert service["spec"]["type"] == settings(stack).ingress.service_type
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    ports = {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert ports == {80: "http", 443: "https"}
    annotations = dict(service["metadata"]["annotations"])
    if stack == "dev":
        assert annotations == {"pulumi.com/skipAwait": "true"}
        return
    assert annotations.pop("pulumi.com/timeoutSeconds") == "1200"
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    assert {key.removeprefix(prefix): value for key, value in annotations.items()} == {
        "additional-resource-tags": (
            f"churn:cost-center=churn,churn:managed-by=pulumi,churn:owner=platform,churn:stack={stack}"
        ),
        "attributes": "load_balancing.cross_zone.enabled=true",
        "scheme": INTERNAL[name],
        "nlb-target-type": "ip",
        "target-group-attributes": "preserve_client_ip.enabled=true",
        "healthcheck-interval": "10",
        "ssl-cert": "arn:aws:acm:eu-central-1:000000000000:certificate/dns-certificate",
        "ssl-ports": "443",
        "ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "backend-protocol": "ssl",
    }


def test_pulumi_does_not_wait_for_the_address_of_a_node_port() -> None:
    recording = record_with("prod", ingress={"service_type": "NodePort"})
    for kind, name in (("Service", "ingress"), ("Ingress", "api")):
        assert find(recording, kind, name).inputs["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


def test_in_a_mesh_the_sidecar_does_not_hide_clients() -> None:
    recording = record_with("prod", namespaces={"mesh": "istio"})
    template = find(recording, "Deployment", "ingress").inputs["spec"]["template"]
    assert template["metadata"]["annotations"] == {"traffic.sidecar.istio.io/excludeInboundPorts": "80,443"}


@pytest.mark.parametrize("stack", SEVERAL)
def test_only_private_networks_reach_the_internal_balancer(stack: str) -> None:
    service = manifest(stack, "Service", "ingress-internal")
    assert service["spec"]["loadBalancerSourceRanges"] == [settings(stack).network.cidr]
    assert service["spec"]["loadBalancerClass"] == "eks.amazonaws.com/nlb"


@pytest.mark.parametrize("stack", SEVERAL)
def test_nginx_closes_every_host_but_the_api_to_clients_outside(stack: str) -> None:
    """What these lines do is tested on a real nginx: `tests/services/test_edge_internal.py`."""
    config = manifest(stack, "ConfigMap", "ingress-config")["data"]
    domain = settings(stack).ingress.domain
    assert f'"0 mlflow.{domain}" 1; "0 grafana.{domain}" 1;' in config["http-snippets"]
    assert f"api.{domain}" not in config["http-snippets"]
    assert f"{settings(stack).network.cidr} 1;" in config["http-snippets"]
    assert "$edge_closed" not in manifest("dev", "ConfigMap", "ingress-config")["data"]["server-snippets"]
