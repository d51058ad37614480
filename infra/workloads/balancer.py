"""ALBs in front of NGINX: they understand requests, so unlike an NLB one can have a firewall."""

from __future__ import annotations

from dataclasses import dataclass

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

from infra.cloud import LoadBalancer
from infra.kit import balancer
from infra.kit.meta import labels, named
from infra.kit.options import child
from infra.naming import INGRESS, PROJECT
from infra.parts.context import Context


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    """What the component needs to know about its stack."""

    context: Context


class Balancer(pulumi.ComponentResource):
    """Two balancers, one of them for clients inside: each with its class, parameters and an Ingress that sends all on.

    NGINX routes by host.
    """

    address: pulumi.Output[str]
    internal_address: pulumi.Output[str]

    def __init__(self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Balancer", name, {}, opts)
        alb = args.context.cloud.load_balancer
        if alb is None:
            raise ValueError("a stack without a cloud has no load balancer")
        self.address = self._balancer(name, alb, internal=False)
        self.internal_address = self._balancer(f"{name}-internal", alb, internal=True)
        self.register_outputs({"address": self.address})

    def _balancer(self, name: str, alb: LoadBalancer, *, internal: bool) -> pulumi.Output[str]:
        role = "alb-internal" if internal else "alb"
        class_name = f"{PROJECT}-{role}"
        metadata = ObjectMetaArgs(name=class_name, labels=labels(INGRESS))
        parameters = CustomResource(
            f"{name}-parameters",
            api_version="eks.amazonaws.com/v1",
            kind="IngressClassParams",
            metadata=metadata,
            spec=balancer.alb_class_spec(alb, internal=internal),
            opts=pulumi.ResourceOptions(parent=self),
        )
        ingress_class = IngressClass(
            f"{name}-class",
            metadata=metadata,
            spec=IngressClassSpecArgs(
                controller="eks.amazonaws.com/alb",
                parameters=IngressClassParametersReferenceArgs(
                    api_group="eks.amazonaws.com", kind="IngressClassParams", name=class_name
                ),
            ),
            opts=child(self, after=[parameters]),
        )
        backend = IngressServiceBackendArgs(name=INGRESS.name, port=ServiceBackendPortArgs(name="https"))
        everything = HTTPIngressPathArgs(path="/", path_type="Prefix", backend=IngressBackendArgs(service=backend))
        ingress = Ingress(
            f"{name}-ingress",
            metadata=named(INGRESS, role=role, annotations=balancer.alb_annotations(alb, internal=internal)),
            spec=IngressSpecArgs(
                ingress_class_name=class_name,
                rules=[IngressRuleArgs(http=HTTPIngressRuleValueArgs(paths=[everything]))],
            ),
            opts=child(self, after=[ingress_class]),
        )
        return balancer.hostname(ingress.status)
