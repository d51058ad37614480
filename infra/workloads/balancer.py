"""An ALB in front of NGINX: it understands requests, so unlike an NLB it can have a firewall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    HTTPIngressPathArgs,
    HTTPIngressRuleValueArgs,
    Ingress,
    IngressBackendArgs,
    IngressClass,
    IngressClassParametersReferenceArgs,
    IngressClassSpecArgs,
    IngressRuleArgs,
    IngressServiceBackendArgs,
    IngressSpecArgs,
    ServiceBackendPortArgs,
)

from infra.kit import balancer
from infra.kit.meta import labels, named
from infra.kit.options import child
from infra.naming import INGRESS, PROJECT
from infra.parts.context import Context

CLASS: Final = f"{PROJECT}-alb"


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    """What the component needs to know about its stack."""

    context: Context


class Balancer(pulumi.ComponentResource):
    """The ingress class, its parameters, and one Ingress that sends everything to NGINX, which routes by host."""

    address: pulumi.Output[str]

    def __init__(self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Balancer", name, {}, opts)
        alb = args.context.cloud.load_balancer
        if alb is None:
            raise ValueError("a stack without a cloud has no load balancer")
        metadata = ObjectMetaArgs(name=CLASS, labels=labels(INGRESS))
        parameters = CustomResource(
            f"{name}-parameters",
            api_version="eks.amazonaws.com/v1",
            kind="IngressClassParams",
            metadata=metadata,
            spec=balancer.alb_class_spec(alb),
            opts=pulumi.ResourceOptions(parent=self),
        )
        ingress_class = IngressClass(
            f"{name}-class",
            metadata=metadata,
            spec=IngressClassSpecArgs(
                controller="eks.amazonaws.com/alb",
                parameters=IngressClassParametersReferenceArgs(
                    api_group="eks.amazonaws.com", kind="IngressClassParams", name=CLASS
                ),
            ),
            opts=child(self, after=[parameters]),
        )
        backend = IngressServiceBackendArgs(name=INGRESS.name, port=ServiceBackendPortArgs(name="https"))
        everything = HTTPIngressPathArgs(path="/", path_type="Prefix", backend=IngressBackendArgs(service=backend))
        ingress = Ingress(
            f"{name}-ingress",
            metadata=named(INGRESS, role="alb", annotations=balancer.alb_annotations(alb)),
            spec=IngressSpecArgs(
                ingress_class_name=CLASS,
                rules=[IngressRuleArgs(http=HTTPIngressRuleValueArgs(paths=[everything]))],
            ),
            opts=child(self, after=[ingress_class]),
        )
        self.address = balancer.hostname(ingress.status)
        self.register_outputs({"address": self.address})
