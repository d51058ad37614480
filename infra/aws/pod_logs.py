"""Logs of pods in CloudWatch, where they outlive their node: AWS' own Fluent Bit, its groups, and ready-made queries.

See ADR 0022 for why an add-on of EKS collects them. It runs outside of the platform's namespaces, because it reads the
nodes' directories as root and uses the host's network, which no namespace of ours allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch

from infra.aws.addons import OBSERVABILITY, AddonSpec, create
from infra.aws.identity import Identity, IdentityArgs
from infra.aws.log_group import log_group
from infra.aws.scope import Scope
from infra.kit.iam import Statement
from infra.kit.options import child

NAMESPACE: Final = "amazon-cloudwatch"
ACCOUNT: Final = "cloudwatch-agent"
"""The add-on's own service account, which its Fluent Bit shares (aws-observability/helm-charts,
`templates/linux/fluent-bit-daemonset.yaml`)."""
KINDS: Final = ("application", "dataplane", "host")
"""Groups that the add-on's Fluent Bit writes to: pods, the cluster's own services, and the nodes."""
OFF: Final = {"enabled": False}
CONFIGURATION: Final[Mapping[str, Any]] = {
    "containerLogs": {"enabled": True},
    # Everything else has a price or a webhook of its own: Prometheus has the metrics, and since version 5 the add-on
    # would put tracing into every pod that a Service selects (ministryofjustice/analytical-platform 9786).
    "applicationSignals": OFF,
    "containerInsights": OFF,
    "dcgmExporter": OFF,
    "kubeStateMetrics": OFF,
    "manager": {"applicationSignals": {"autoMonitor": {"monitorAllServices": False, "restartPods": False}}},
    "neuronMonitor": OFF,
    "nodeExporter": OFF,
    "otelContainerInsights": OFF,
}
_POD: Final = "fields @timestamp, kubernetes.pod_name, kubernetes.container_name"
QUERIES: Final = {
    "errors": f"{_POD}, log_processed.message, log\n"
    "| filter kubernetes.namespace_name like /^churn-/\n"
    '| filter log_processed.level in ["error", "critical"] or log like /(ERROR|CRITICAL|Traceback)/\n'
    "| sort @timestamp desc\n"
    "| limit 200",
    "last-words": f"{_POD}, log\n| filter kubernetes.pod_name = 'POD'\n| sort @timestamp desc\n| limit 200",
    "one-request": f"{_POD}, log\n| filter log like 'REQUEST_ID'\n| sort @timestamp asc\n| limit 200",
    "slow-requests": "fields @timestamp, kubernetes.pod_name"
    ", log_processed.ms, log_processed.route, log_processed.status\n"
    "| filter kubernetes.container_name = 'api' and ispresent(log_processed.ms)\n"
    "| sort log_processed.ms desc\n"
    "| limit 50",
    "volume": "stats count(*) as lines, sum(strlen(@message)) / 1048576 as mib"
    " by kubernetes.namespace_name, kubernetes.container_name\n"
    "| sort mib desc\n"
    "| limit 30",
}
"""Queries of CloudWatch Logs Insights by name; the runbook of the logs explains each."""


def group(scope: Scope, kind: str) -> str:
    """Return the name of a group, as the add-on composes it from the cluster's."""
    return f"/aws/containerinsights/{scope.prefix}/{kind}"


@dataclass(frozen=True, kw_only=True)
class PodLogsArgs:
    """The stack, the key for logs, and the issuer of the cluster's tokens."""

    scope: Scope
    log_key: pulumi.Input[str]
    issuer: pulumi.Output[str]
    issuer_arn: pulumi.Input[str]


class PodLogs(pulumi.ComponentResource):
    """Groups with a retention and a key, an identity that may only write to them, the add-on, and queries."""

    def __init__(self, name: str, args: PodLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:PodLogs", name, {}, opts)
        scope = args.scope
        days = scope.settings.eks.log_days
        groups = {
            kind: log_group(self, f"{name}-{kind}", path=group(scope, kind), days=days, key=args.log_key)
            for kind in KINDS
        }
        streams = [pulumi.Output.concat(each.arn, ":*") for each in groups.values()]
        write = Statement(
            sid="Write",
            # It may not create a group: one that came back after a destroy would keep logs for ever.
            actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[*(each.arn for each in groups.values()), *streams],
        )
        identity_args = IdentityArgs(
            scope=scope,
            namespace=NAMESPACE,
            account=ACCOUNT,
            statements=[write],
            issuer=args.issuer,
            issuer_arn=args.issuer_arn,
        )
        identity = Identity(f"{name}-identity", identity_args, pulumi.ResourceOptions(parent=self))
        # Fluent Bit would otherwise start without a right to write, or find no group.
        after = child(self, after=[identity, *groups.values()])
        addon = AddonSpec(name=OBSERVABILITY, configuration=CONFIGURATION)
        create(f"{name}-addon", addon, scope, identity.arn if identity.annotated else None, after)
        for query, text in QUERIES.items():
            cloudwatch.QueryDefinition(
                f"{name}-query-{query}",
                name=f"{scope.prefix}/{query}",
                query_string=text,
                log_group_names=[groups["application"].name],
                opts=child(self),
            )
        self.register_outputs({})
