"""Alarms on AWS' own figures: what is measured, when somebody must look, and how urgent it is.

Prometheus sees the cluster from inside; these see what it cannot: the database's disk and host, NAT gateways, load
balancers, functions, and copies to another region. `tests/support/aws_metrics.py` has the source of each metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import pulumi

RUNBOOK: Final = "docs/runbooks/aws.md"
GIB: Final = 1024**3
FIVE_MINUTES: Final = 300
FREE_SHARE: Final = 0.08
"""Of the database's first disk. RDS enlarges a disk when a tenth is left, so a smaller share means that it has not."""
CPU_PERCENT: Final = 90
LATE_SECONDS: Final = 3600
"""A backup is one file a day; S3 copies most files within 15 minutes."""


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm on one metric, or on the largest of several."""

    name: str
    severity: Literal["critical", "warning"]
    summary: str
    above: bool = True
    """Whether values above the threshold are bad; otherwise those below it."""
    threshold: float
    periods: int
    namespace: str
    metric: str
    statistic: Literal["Average", "Maximum", "Minimum", "Sum"]
    dimensions: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    missing: Literal["notBreaching", "breaching"] = "notBreaching"
    """What a time without a figure means; most of them exist only while something happens."""
    query: pulumi.Input[str] | None = None
    """A query of Metrics Insights, in place of one metric with its dimensions."""

    @property
    def description(self) -> str:
        """What `ops/jobs/notify` reads: the severity and the summary, then the runbook."""
        return f"{self.severity}: {self.summary}\n{RUNBOOK}#{self.name.partition('-')[0].lower()}"


def database(instance: pulumi.Input[str], disk_gib: int) -> list[Alarm]:
    """Return the alarms of RDS; its failovers are events, and have no metric."""
    dimensions = {"DBInstanceIdentifier": instance}
    return [
        Alarm(
            name="DatabaseStorageLow",
            severity="critical",
            summary="The database's disk is nearly full, and RDS has not made it larger",
            above=False,
            threshold=int(disk_gib * GIB * FREE_SHARE),
            periods=3,
            namespace="AWS/RDS",
            metric="FreeStorageSpace",
            statistic="Minimum",
            dimensions=dimensions,
        ),
        Alarm(
            name="DatabaseCpuHigh",
            severity="warning",
            summary=f"The database has used more than {CPU_PERCENT} % of its processors for a quarter of an hour",
            threshold=CPU_PERCENT,
            periods=3,
            namespace="AWS/RDS",
            metric="CPUUtilization",
            statistic="Average",
            dimensions=dimensions,
        ),
    ]


def nat(number: int, gateway: pulumi.Input[str]) -> Alarm:
    """Return the alarm of one NAT gateway."""
    return Alarm(
        name=f"NatPortsExhausted-{number}",
        severity="warning",
        summary="A NAT gateway has no port left for a new connection: calls to the outside fail",
        threshold=0,
        periods=1,
        namespace="AWS/NATGateway",
        metric="ErrorPortAllocation",
        statistic="Sum",
        dimensions={"NatGatewayId": gateway},
    )


def function(role: str, name: pulumi.Input[str]) -> Alarm:
    """Return the alarm of one function; a failed step of a rotation is an error of its function."""
    return Alarm(
        name=f"FunctionErrors-{role}",
        severity="warning",
        summary=f"The function {role} fails",
        threshold=0,
        periods=1,
        namespace="AWS/Lambda",
        metric="Errors",
        statistic="Sum",
        dimensions={"FunctionName": name},
    )


def backup_copy(source: pulumi.Input[str], target: pulumi.Input[str], rule: str) -> list[Alarm]:
    """Return the alarms of the backups' second copy."""
    dimensions = {"SourceBucket": source, "DestinationBucket": target, "RuleId": rule}
    return [
        Alarm(
            name="BackupCopyFailing",
            severity="warning",
            summary="S3 could not copy a backup to the second region",
            threshold=0,
            periods=1,
            namespace="AWS/S3",
            metric="OperationsFailedReplication",
            statistic="Sum",
            dimensions=dimensions,
        ),
        Alarm(
            name="BackupCopyLate",
            severity="warning",
            summary="The second copy of the backups is more than an hour behind",
            threshold=LATE_SECONDS,
            periods=3,
            namespace="AWS/S3",
            metric="ReplicationLatency",
            statistic="Maximum",
            dimensions=dimensions,
        ),
    ]


def silent_logs(group: pulumi.Input[str]) -> Alarm:
    """Return the alarm of a log group that nothing arrives in: no figure means no event."""
    return Alarm(
        name="PodLogsSilent",
        severity="warning",
        summary="No log line of any pod has arrived in CloudWatch for half an hour",
        above=False,
        threshold=1,
        periods=6,
        namespace="AWS/Logs",
        metric="IncomingLogEvents",
        statistic="Sum",
        dimensions={"LogGroupName": group},
        missing="breaching",
    )


def edge(kind: Literal["nlb", "alb"], host: pulumi.Input[str]) -> Alarm:
    """Return the alarm of the load balancer's targets; ``host`` is the address that AWS gave it.

    A controller in the cluster creates the balancer and its target groups, so their identifiers are in no resource. A
    Network Load Balancer's is in its address; of an Application Load Balancer the address says nothing, so all of
    the region's count.
    """
    namespace = {"nlb": "AWS/NetworkELB", "alb": "AWS/ApplicationELB"}[kind]
    query = pulumi.Output.from_input(host).apply(lambda known: unhealthy(namespace, known))
    return Alarm(
        name="EdgeTargetsUnhealthy",
        severity="critical",
        summary="The load balancer finds pods of NGINX unhealthy",
        threshold=0,
        periods=3,
        namespace=namespace,
        metric="UnHealthyHostCount",
        statistic="Maximum",
        query=query,
    )


def unhealthy(namespace: str, host: str) -> str:
    """Return the query for the most unhealthy targets of any target group behind a balancer."""
    schema = f'SCHEMA("{namespace}", LoadBalancer, TargetGroup)'
    query = f"SELECT MAX(UnHealthyHostCount) FROM {schema}"  # noqa: S608 - a query of CloudWatch, from constants
    if namespace != "AWS/NetworkELB":
        return query
    name, _, identity = host.partition(".")[0].rpartition("-")
    return f"{query} WHERE LoadBalancer = 'net/{name}/{identity}'"
