"""What clients reach from outside: one host each for the API, MLflow and Grafana, and the limits of each.

The API's `/metrics`, `/live` and `/ready` have no route: they are for the inside of the cluster only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.networking.v1 import (
    HTTPIngressPathArgs,
    HTTPIngressRuleValueArgs,
    Ingress,
    IngressBackendArgs,
    IngressRuleArgs,
    IngressServiceBackendArgs,
    IngressSpecArgs,
    IngressTLSArgs,
    ServiceBackendPortArgs,
)

from infra.config import IngressSettings
from infra.kit.meta import named
from infra.kit.options import child
from infra.naming import API, GRAFANA, MLFLOW, Workload
from infra.parts.context import Context
from infra.workloads.ingress import CLASS
from infra.workloads.ingress_services import SKIP_AWAIT, gets_address


@dataclass(frozen=True, kw_only=True)
class Route:
    """A workload's host below the domain, its paths, and the limits on size, duration and bursts of requests."""

    workload: Workload
    prefixes: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    max_body: str
    timeout_seconds: int
    burst_seconds: int
    """How many seconds' worth of requests a client may send at once."""
    larger: str = ""
    """What to do about a body above the limit, as a client reads it in the error."""
    websockets: bool = False
    public: bool = False
    """Whether clients outside may use it; what has no keys and scopes of its own is for the inside."""

    def host(self, domain: str) -> str:
        """Return the name that clients use."""
        return f"{self.workload.name}.{domain}"


API_ROUTE: Final = Route(
    workload=API,
    prefixes=("/v1/", "/docs/"),
    exact=("/docs", "/openapi.json"),
    max_body="2m",
    timeout_seconds=30,
    burst_seconds=1,
    public=True,
)
MLFLOW_ROUTE: Final = Route(
    workload=MLFLOW,
    prefixes=("/",),
    max_body="512m",
    timeout_seconds=300,
    burst_seconds=5,
    larger="; docs/platform.md tells how to store a larger artifact",
)
"""Models are uploaded through it, and a page of its interface loads many files at once."""
GRAFANA_ROUTE: Final = Route(
    workload=GRAFANA, prefixes=("/",), max_body="10m", timeout_seconds=60, burst_seconds=5, websockets=True
)
ROUTES: Final = (API_ROUTE, MLFLOW_ROUTE, GRAFANA_ROUTE)


def max_bodies() -> Mapping[str, str]:
    """Return by workload the largest body that its route takes, in words for the client that sent a larger one."""
    return {route.workload.name: f"{route.max_body.removesuffix('m')} MiB{route.larger}" for route in ROUTES}


def limits(route: Route, rate: int) -> dict[str, str]:
    """Return annotations with the limits of a route.

    Each NGINX pod counts separately, so a client whose requests are spread over several pods may send more.
    """
    seconds = f"{route.timeout_seconds}s"
    values = {
        # The Service rather than single pods: NGINX would reload whenever a pod comes or goes, and a reload loses
        # requests.
        "use-cluster-ip": "true",
        "client-max-body-size": route.max_body,
        "proxy-read-timeout": seconds,
        "proxy-send-timeout": seconds,
        "limit-req-rate": f"{rate}r/s",
        "limit-req-burst": str(rate * route.burst_seconds),
        "limit-req-no-delay": "true",
        "limit-req-reject-code": "429",
        "limit-req-log-level": "warn",
    }
    if route.websockets:
        values["websocket-services"] = route.workload.name
    return {f"nginx.org/{key}": value for key, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class RoutesArgs:
    """Rate limit, and the stack around the routes."""

    settings: IngressSettings
    context: Context


class Routes(pulumi.ComponentResource):
    """An Ingress for each route, in its workload's namespace; all of them are deleted before the controller."""

    urls: dict[str, pulumi.Output[str]]
    """Addresses by the workload's name."""

    def __init__(self, name: str, args: RoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Routes", name, {}, opts)
        skip = {} if gets_address(args.settings, args.context.cloud) else SKIP_AWAIT
        for route in ROUTES:
            host = route.host(args.context.domain)
            Ingress(
                f"{name}-{route.workload.name}",
                metadata=named(
                    route.workload, annotations=limits(route, args.settings.client_requests_per_second) | skip
                ),
                spec=IngressSpecArgs(
                    ingress_class_name=CLASS,
                    # Without the name of a Secret, the controller uses its default certificate, which is valid for all
                    # hosts.
                    tls=[IngressTLSArgs(hosts=[host])],
                    rules=[IngressRuleArgs(host=host, http=HTTPIngressRuleValueArgs(paths=_paths(route)))],
                ),
                opts=child(self),
            )
        self.urls = {
            route.workload.name: pulumi.Output.from_input(f"https://{route.host(args.context.domain)}")
            for route in ROUTES
        }
        self.register_outputs({"urls": self.urls})


def hosts(domain: str) -> Sequence[str]:
    """Return all host names, for which the certificate must be valid."""
    return [route.host(domain) for route in ROUTES]


def internal_hosts(domain: str) -> Sequence[str]:
    """Return the host names that only clients inside may use, where the stack has an outside."""
    return [route.host(domain) for route in ROUTES if not route.public]


def _paths(route: Route) -> list[HTTPIngressPathArgs]:
    backend = IngressBackendArgs(
        service=IngressServiceBackendArgs(name=route.workload.name, port=ServiceBackendPortArgs(name="http"))
    )
    return [
        HTTPIngressPathArgs(path=path, path_type=kind, backend=backend)
        for kind, paths in (("Prefix", route.prefixes), ("Exact", route.exact))
        for path in paths
    ]
