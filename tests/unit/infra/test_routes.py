"""The routes at the edge: hosts, paths, limits, and the certificate for all of them."""

from __future__ import annotations

import pytest
from support.recorder import STACKS, find, manifest, recorded, settings

from app.settings import Settings as ApiSettings
from infra.naming import INGRESS_NAMESPACE
from infra.workloads.routes import ROUTES, hosts, limits


@pytest.mark.parametrize("stack", STACKS)
def test_certificate(stack: str) -> None:
    recording = recorded(stack)
    domain = settings(stack).ingress.domain
    by_type = {item.type.split(":")[-1]: item for item in recording.resources if item.type.startswith("tls:")}
    key, certificate = by_type["PrivateKey"], by_type["SelfSignedCert"]
    assert (key.inputs["algorithm"], key.inputs["ecdsaCurve"]) == ("ECDSA", "P256")
    assert certificate.inputs["dnsNames"] == [f"api.{domain}", f"mlflow.{domain}", f"grafana.{domain}"]
    assert certificate.inputs["validityPeriodHours"] == 365 * 24
    assert certificate.inputs["earlyRenewalHours"] == 60 * 24
    assert sorted(certificate.inputs["allowedUses"]) == ["digital_signature", "server_auth"]
    secret = find(recording, "Secret", "certificate-secret")
    assert secret.inputs["type"] == "kubernetes.io/tls"
    assert secret.inputs["metadata"]["namespace"] == INGRESS_NAMESPACE
    assert set(secret.inputs["stringData"]) == {"tls.crt", "tls.key"}
    assert secret.secret_inputs == {"stringData"}
    protect = settings(stack).state.protect
    assert (secret.protect, key.protect, certificate.protect) == (False, protect, False)
    assert recording.outputs["certificate"] == "certificate of certificate-self-signed"
    assert "certificate" not in recording.secret_outputs


@pytest.mark.parametrize("stack", STACKS)
def test_routes(stack: str) -> None:
    domain = settings(stack).ingress.domain
    recording = recorded(stack)
    for route in ROUTES:
        name, namespace = route.workload.name, route.workload.namespace
        ingress = find(recording, "Ingress", name, namespace)
        host = f"{name}.{domain}"
        (rule,) = ingress.inputs["spec"]["rules"]
        assert ingress.inputs["spec"]["ingressClassName"] == "churn"
        assert ingress.inputs["spec"]["tls"] == [{"hosts": [host]}]
        assert rule["host"] == host
        backends = [path["backend"] for path in rule["http"]["paths"]]
        assert backends == [{"service": {"name": name, "port": {"name": "http"}}}] * len(backends)
        assert recording.outputs[f"{name}_url"] == f"https://{host}"
    assert [route.host(domain) for route in ROUTES] == hosts(domain)


@pytest.mark.parametrize("stack", STACKS)
def test_routes_end_before_the_controller_that_cleans_up_after_them(stack: str) -> None:
    recording = recorded(stack)
    (routes,) = (item for item in recording.resources if item.type == "churn:workloads:Routes")
    assert {
        find(recording, kind, "ingress", INGRESS_NAMESPACE).urn for kind in ("Deployment", "Service", "Role")
    } <= set(routes.depends_on)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("api", {("/v1/", "Prefix"), ("/docs/", "Prefix"), ("/docs", "Exact"), ("/openapi.json", "Exact")}),
        ("mlflow", {("/", "Prefix")}),
        ("grafana", {("/", "Prefix")}),
    ],
)
def test_paths(name: str, expected: set[tuple[str, str]]) -> None:
    (rule,) = manifest("prod", "Ingress", name)["spec"]["rules"]
    assert {(path["path"], path["pathType"]) for path in rule["http"]["paths"]} == expected


@pytest.mark.parametrize(
    ("name", "body", "timeout", "burst", "websockets"),
    [
        ("api", "2m", "30s", "500", None),
        ("mlflow", "512m", "300s", "2500", None),
        ("grafana", "10m", "60s", "2500", "grafana"),
    ],
)
def test_limits(name: str, body: str, timeout: str, burst: str, websockets: str | None) -> None:
    expected = {
        "client-max-body-size": body,
        "proxy-read-timeout": timeout,
        "proxy-send-timeout": timeout,
        "limit-req-rate": "500r/s",
        "limit-req-burst": burst,
        "limit-req-no-delay": "true",
        "limit-req-reject-code": "429",
        "limit-req-log-level": "warn",
        **({"websocket-services": websockets} if websockets else {}),
    }
    expected["use-cluster-ip"] = "true"
    annotations = manifest("prod", "Ingress", name)["metadata"]["annotations"]
    assert annotations == {f"nginx.org/{key}": value for key, value in expected.items()}


def test_local_routes_are_not_waited_for() -> None:
    for route in ROUTES:
        annotations = manifest("dev", "Ingress", route.workload.name)["metadata"]["annotations"]
        assert annotations == limits(route, 100) | {"pulumi.com/skipAwait": "true"}


def test_the_edge_takes_no_larger_body_than_the_api() -> None:
    mebibytes = ApiSettings.model_fields["max_body_bytes"].default / 2**20
    assert manifest("prod", "Ingress", "api")["metadata"]["annotations"]["nginx.org/client-max-body-size"] == (
        f"{mebibytes:.0f}m"
    )
