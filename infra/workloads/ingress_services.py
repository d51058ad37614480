"""Services of the edge: the one that clients reach and, on AWS, another for what is only for the inside."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServicePortArgs, ServiceSpecArgs

from infra.cloud import CloudOutputs
from infra.config import IngressSettings
from infra.kit import balancer
from infra.kit.meta import Annotations, named, waited
from infra.kit.options import child
from infra.naming import EDGE_NODE_PORT, INGRESS

SKIP_AWAIT: Final = {"pulumi.com/skipAwait": "true"}
"""For an object that may never get an address, which Pulumi would wait for in vain."""
READY_SECONDS: Final = 1200
"""How long `pulumi up` waits for the edge behind a balancer of AWS. There, a pod is ready once it is a healthy target;
that takes an NLB about three minutes (aws-load-balancer-controller 1834), and pods are replaced one by one."""
PORTS: Final = ("http", "https")


def gets_address(settings: IngressSettings, cloud: CloudOutputs) -> bool:
    """Return whether the Service, and so the routes, get an address; in a local cluster nothing may provide one."""
    return settings.service_type == "LoadBalancer" and cloud.region is not None and not behind_alb(cloud)


def behind_alb(cloud: CloudOutputs) -> bool:
    """Return whether an ALB is in front of NGINX, which then has an address only inside the cluster."""
    return cloud.load_balancer is not None and cloud.load_balancer.kind == "alb"


def waits(cloud: CloudOutputs) -> dict[str, str]:
    """Return the annotation of how long `pulumi up` waits for the edge; nothing where ten minutes are enough."""
    return {} if cloud.load_balancer is None else waited(READY_SECONDS)


def service(parent: pulumi.Resource, name: str, settings: IngressSettings, cloud: CloudOutputs) -> Service:
    """Create the Service that clients reach: on AWS through a public NLB, or through the ALB before it."""
    addressed, inside = gets_address(settings, cloud), behind_alb(cloud)
    annotations: Annotations = SKIP_AWAIT
    if addressed:
        annotations = {} if cloud.load_balancer is None else balancer.nlb_annotations(cloud.load_balancer)
    return Service(
        f"{name}-service",
        metadata=named(INGRESS, annotations={**annotations, **waits(cloud)}),
        spec=ServiceSpecArgs(
            type="ClusterIP" if inside else settings.service_type,
            external_traffic_policy=None if inside else "Local",
            load_balancer_class=balancer.nlb_class(cloud.load_balancer) if addressed else None,
            selector=INGRESS.selector,
            ports=[_port(port, EDGE_NODE_PORT if port == "https" and cloud.region is None else None) for port in PORTS],
        ),
        opts=child(parent),
    )


def internal_service(
    parent: pulumi.Resource, name: str, settings: IngressSettings, cloud: CloudOutputs
) -> Service | None:
    """Create the Service whose NLB has addresses of the VPC only; None where no NLB is in front of NGINX."""
    if not gets_address(settings, cloud) or cloud.load_balancer is None:
        return None
    return Service(
        f"{name}-internal-service",
        metadata=named(
            INGRESS,
            role="internal",
            annotations={**balancer.nlb_annotations(cloud.load_balancer, internal=True), **waits(cloud)},
        ),
        spec=ServiceSpecArgs(
            type="LoadBalancer",
            external_traffic_policy="Local",
            load_balancer_class=balancer.nlb_class(cloud.load_balancer),
            load_balancer_source_ranges=list(cloud.load_balancer.internal_cidrs),
            selector=INGRESS.selector,
            ports=[_port(port, None) for port in PORTS],
        ),
        opts=child(parent),
    )


def _port(name: str, node_port: int | None) -> ServicePortArgs:
    return ServicePortArgs(name=name, port=INGRESS.ports[name], target_port=name, protocol="TCP", node_port=node_port)
