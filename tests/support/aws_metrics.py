"""Metrics of CloudWatch that alarms may use, as AWS documents them: the dimensions of each, and where that stands.

An alarm on a metric, or with dimensions, that nothing publishes is accepted by CloudWatch and never fires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The sets of dimensions under which a metric is published, and its source."""

    dimensions: tuple[frozenset[str], ...]
    source: str


def _each(source: str, *dimensions: str) -> Metric:
    return Metric(dimensions=(frozenset(dimensions),), source=source)


_RDS: Final = "Amazon RDS User Guide, rds-metrics: CloudWatch instance-level metrics; dimension DBInstanceIdentifier"
_S3: Final = "Amazon S3 User Guide, metrics-dimensions: S3 Replication metrics; namespace by grafana/grafana 74418"
_NLB: Final = "ELB, Network Load Balancers, load-balancer-cloudwatch-metrics"
_ALB: Final = "ELB, Application Load Balancers, load-balancer-cloudwatch-metrics"
_TARGETS: Final = ("LoadBalancer", "TargetGroup")

METRICS: Final = {
    ("AWS/RDS", "FreeStorageSpace"): _each(_RDS, "DBInstanceIdentifier"),
    ("AWS/RDS", "CPUUtilization"): _each(_RDS, "DBInstanceIdentifier"),
    ("AWS/NATGateway", "ErrorPortAllocation"): _each(
        "Amazon VPC User Guide, vpc-nat-gateway-cloudwatch", "NatGatewayId"
    ),
    ("AWS/Lambda", "Errors"): Metric(
        dimensions=(frozenset({"FunctionName"}), frozenset({"FunctionName", "Resource"})),
        source="AWS Lambda Developer Guide, monitoring-metrics-types: invocation metrics",
    ),
    ("AWS/S3", "OperationsFailedReplication"): _each(_S3, "SourceBucket", "DestinationBucket", "RuleId"),
    ("AWS/S3", "ReplicationLatency"): _each(_S3, "SourceBucket", "DestinationBucket", "RuleId"),
    ("AWS/Logs", "IncomingLogEvents"): _each("CloudWatch Logs User Guide, CloudWatch-Logs-Monitoring", "LogGroupName"),
    ("AWS/NetworkELB", "UnHealthyHostCount"): _each(_NLB, *_TARGETS),
    ("AWS/ApplicationELB", "UnHealthyHostCount"): _each(_ALB, *_TARGETS),
}
