"""How AWS learns which load balancer to create: annotations of a Service for an NLB, of an Ingress for an ALB."""

from __future__ import annotations

import json
from typing import Any, Final

import pulumi

from infra.cloud import LoadBalancer
from infra.naming import INGRESS

NLB: Final = "service.beta.kubernetes.io/aws-load-balancer"
ALB: Final = "alb.ingress.kubernetes.io"
TLS: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"
DRAIN_SECONDS: Final = 30


def tag_list(balancer: LoadBalancer) -> str:
    """Return the stack's cost-allocation tags in the form that annotations take."""
    return ",".join(f"{key}={value}" for key, value in sorted(balancer.tags.items()))


def nlb_class(balancer: LoadBalancer | None) -> str | None:
    """Return the class by which Auto Mode makes the NLB; without one, the cluster's own cloud controller does."""
    return "eks.amazonaws.com/nlb" if balancer is not None and balancer.auto_mode else None


def nlb_annotations(balancer: LoadBalancer, *, internal: bool = False) -> dict[str, pulumi.Input[str]]:
    """Return the Service's annotations: TLS with the public certificate for clients, TLS again to NGINX, all zones.

    NGINX needs clients' addresses, for its rates and for what is internal, and nothing that a client could write itself
    (docs/adr/0020); so they are preserved, and the access lists of the targets' subnets must admit them.
    """
    common: dict[str, pulumi.Input[str]] = {
        f"{NLB}-additional-resource-tags": tag_list(balancer),
        f"{NLB}-backend-protocol": "ssl",
        f"{NLB}-healthcheck-interval": "10",
        f"{NLB}-scheme": "internal" if internal else "internet-facing",
        f"{NLB}-ssl-cert": balancer.certificate_arn,
        f"{NLB}-ssl-negotiation-policy": TLS,
        f"{NLB}-ssl-ports": "443",
        f"{NLB}-target-group-attributes": "preserve_client_ip.enabled=true",
    }
    if balancer.auto_mode:
        return common | {
            f"{NLB}-attributes": "load_balancing.cross_zone.enabled=true",
            f"{NLB}-nlb-target-type": "ip",
        }
    # The cluster's own controller does not know the scheme (cloud-provider-aws, docs/service_controller.md).
    inside: dict[str, pulumi.Input[str]] = {f"{NLB}-internal": "true"} if internal else {}
    return common | inside | {f"{NLB}-cross-zone-load-balancing-enabled": "true", f"{NLB}-type": "nlb"}


def alb_annotations(balancer: LoadBalancer, *, internal: bool = False) -> dict[str, pulumi.Input[str]]:
    """Return the annotations of an Ingress in front of NGINX; an ALB uses all zones by itself.

    The firewall is for the public one: its rules would refuse the artifacts that clients inside upload.
    """
    annotations: dict[str, pulumi.Input[str]] = {
        f"{ALB}/backend-protocol": "HTTPS",
        f"{ALB}/healthcheck-path": "/nginx-ready",
        f"{ALB}/healthcheck-port": str(INGRESS.ports["ready"]),
        f"{ALB}/healthcheck-protocol": "HTTP",
        f"{ALB}/listen-ports": json.dumps([{"HTTP": 80}, {"HTTPS": 443}]),
        f"{ALB}/load-balancer-attributes": "routing.http.drop_invalid_header_fields.enabled=true",
        f"{ALB}/ssl-policy": TLS,
        f"{ALB}/ssl-redirect": "443",
        f"{ALB}/target-group-attributes": f"deregistration_delay.timeout_seconds={DRAIN_SECONDS}",
        f"{ALB}/target-type": "ip",
    }
    if internal:
        annotations[f"{ALB}/inbound-cidrs"] = ",".join(balancer.internal_cidrs)
    elif balancer.firewall_arn is not None:
        annotations[f"{ALB}/wafv2-acl-arn"] = balancer.firewall_arn
    return annotations


def alb_class_spec(balancer: LoadBalancer, *, internal: bool = False) -> dict[str, Any]:
    """Return the spec of the IngressClassParams: scheme, certificate and tags."""
    return {
        "scheme": "internal" if internal else "internet-facing",
        "certificateARNs": [balancer.certificate_arn],
        "tags": [{"key": key, "value": value} for key, value in sorted(balancer.tags.items())],
    }


def hostname(status: pulumi.Output[Any]) -> pulumi.Output[str]:
    """Return the name that AWS gave the load balancer of a Service or an Ingress."""
    name: pulumi.Output[str] = status.apply(lambda known: known.load_balancer.ingress[0].hostname)
    return name
