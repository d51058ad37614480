"""How AWS is told which load balancer to make: annotations of a Service for an NLB, of an Ingress for an ALB."""

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
    """The stack's cost-allocation tags, as annotations want them."""
    return ",".join(f"{key}={value}" for key, value in sorted(balancer.tags.items()))


def nlb_class(balancer: LoadBalancer | None) -> str | None:
    """Who makes it: Auto Mode by its class; without it the cloud controller that every EKS cluster has."""
    return "eks.amazonaws.com/nlb" if balancer is not None and balancer.auto_mode else None


def nlb_annotations(balancer: LoadBalancer) -> dict[str, pulumi.Input[str]]:
    """Of the Service: TLS with the public certificate for clients and TLS again towards NGINX, over all zones."""
    common: dict[str, pulumi.Input[str]] = {
        f"{NLB}-additional-resource-tags": tag_list(balancer),
        f"{NLB}-backend-protocol": "ssl",
        f"{NLB}-healthcheck-interval": "10",
        f"{NLB}-scheme": "internet-facing",
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
    return common | {f"{NLB}-cross-zone-load-balancing-enabled": "true", f"{NLB}-type": "nlb"}


def alb_annotations(balancer: LoadBalancer) -> dict[str, pulumi.Input[str]]:
    """Of the Ingress before NGINX; zones share the load by themselves."""
    found: dict[str, pulumi.Input[str]] = {
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
    if balancer.firewall_arn is not None:
        found[f"{ALB}/wafv2-acl-arn"] = balancer.firewall_arn
    return found


def alb_class_spec(balancer: LoadBalancer) -> dict[str, Any]:
    """Of the IngressClassParams: where it stands, its certificate and its tags."""
    return {
        "scheme": "internet-facing",
        "certificateARNs": [balancer.certificate_arn],
        "tags": [{"key": key, "value": value} for key, value in sorted(balancer.tags.items())],
    }


def hostname(status: pulumi.Output[Any]) -> pulumi.Output[str]:
    """The name that AWS gave the load balancer of a Service or an Ingress."""
    made: pulumi.Output[str] = status.apply(lambda known: known.load_balancer.ingress[0].hostname)
    return made
