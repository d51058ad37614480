"""Rules over CloudWatch's alarms of a recorded stack: each takes a recording and returns one line per violation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from support.aws_metrics import METRICS
from support.aws_rules import kind, of
from support.paths import ROOT

from ops.stack.recording import Recording, Resource

QUERY: Final = re.compile(
    r'SELECT MAX\((?P<metric>\w+)\) FROM SCHEMA\("(?P<namespace>[\w/]+)", (?P<dimensions>[\w, ]+)\)'
    r"( WHERE LoadBalancer = 'net/(?P<name>[\w-]+)/(?P<id>[\w-]+)')?"
)
"""The one form of query that the stacks use, by CloudWatch's user guide, "Metrics Insights query components"."""
DESCRIPTION: Final = re.compile(
    r"(?P<severity>critical|warning): (?P<summary>.+)\n(?P<runbook>docs/\S+\.md)#(?P<part>\S+)"
)
LONGEST_DESCRIPTION: Final = 1024
PUBLISHER: Final = "cloudwatch.amazonaws.com"


def alarms(recording: Recording) -> Iterator[Resource]:
    return of(recording, "MetricAlarm")


def measured(alarm: Resource) -> tuple[str, str, frozenset[str]]:
    """Namespace, metric and dimensions of an alarm, on one metric or by a query."""
    inputs = alarm.inputs
    if "metricQueries" not in inputs:
        return inputs["namespace"], inputs["metricName"], frozenset(inputs["dimensions"])
    (query,) = inputs["metricQueries"]
    match = QUERY.fullmatch(query["expression"])
    if match is None:
        return "", query["expression"], frozenset()
    return match["namespace"], match["metric"], frozenset(match["dimensions"].split(", "))


def documented(recording: Recording) -> list[str]:
    """Each alarm is on a metric that AWS documents, with the dimensions under which it is published."""
    violations = []
    for alarm in alarms(recording):
        namespace, metric, dimensions = measured(alarm)
        known = METRICS.get((namespace, metric))
        if known is None or dimensions not in known.dimensions:
            violations.append(f"{alarm.name}: {namespace} {metric} by {', '.join(sorted(dimensions))}")
    return violations


def _values(recording: Recording) -> Mapping[str, set[str]]:
    """The values that a dimension may have: names and ids of the stack's own resources."""
    buckets = {item.inputs["bucket"] for item in of(recording, "Bucket")}
    return {
        "DBInstanceIdentifier": {item.inputs["identifier"] for item in of(recording, "Instance")},
        "NatGatewayId": {f"{item.name}-id" for item in of(recording, "NatGateway")},
        "LogGroupName": {item.inputs["name"] for item in of(recording, "LogGroup")},
        "FunctionName": {item.inputs["name"] for item in of(recording, "Function")},
        "SourceBucket": buckets,
        "DestinationBucket": buckets,
        "RuleId": {rule["id"] for item in of(recording, "BucketReplicationConfig") for rule in item.inputs["rules"]},
    }


def own(recording: Recording) -> list[str]:
    """Each dimension points to a resource of the stack, or a query to its load balancer's address."""
    values = _values(recording)
    violations = [
        f"{alarm.name}: {dimension} {value}"
        for alarm in alarms(recording)
        for dimension, value in alarm.inputs.get("dimensions", {}).items()
        if value not in values[dimension]
    ]
    addresses = {
        entry["hostname"]
        for item in recording.resources
        if item.type.startswith("kubernetes:")
        for entry in item.outputs.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    }
    for alarm in alarms(recording):
        for query in alarm.inputs.get("metricQueries", []):
            match = QUERY.fullmatch(query["expression"])
            named = match and match["name"] and f"{match['name']}-{match['id']}"
            if named and not any(address.startswith(f"{named}.") for address in addresses):
                violations.append(f"{alarm.name}: {named}")
    return violations


def complete(recording: Recording) -> list[str]:
    """Everything that can fail by itself has an alarm: the database, NAT gateways, functions, copies, the balancer."""
    watched = {
        (dimension, value)
        for alarm in alarms(recording)
        for dimension, value in alarm.inputs.get("dimensions", {}).items()
    }
    values = _values(recording)
    expected = {
        (dimension, value)
        for dimension in ("DBInstanceIdentifier", "NatGatewayId", "FunctionName", "RuleId")
        for value in values[dimension]
    }
    violations = [f"nothing watches {dimension} {value}" for dimension, value in sorted(expected - watched)]
    if not any("metricQueries" in alarm.inputs for alarm in alarms(recording)):
        violations.append("nothing watches the load balancer")
    for item in of(recording, "BucketReplicationConfig"):
        enabled = [rule["destination"].get("metrics", {}).get("status") == "Enabled" for rule in item.inputs["rules"]]
        violations += [] if all(enabled) else [f"{item.name} publishes no figures"]
    return violations


def reaching(recording: Recording) -> list[str]:
    """Each alarm, and its end, goes to the topic, and the topic calls a function that may be called by it."""
    (topic,) = of(recording, "Topic")
    arn = topic.outputs["arn"]
    violations = [
        f"{alarm.name}: {field}"
        for alarm in alarms(recording)
        for field in ("alarmActions", "okActions")
        if alarm.inputs.get(field) != [arn]
    ]
    functions = {item.outputs["arn"]: item.inputs["name"] for item in of(recording, "Function")}
    called = {
        functions.get(i.inputs["endpoint"]) for i in of(recording, "TopicSubscription") if i.inputs["topic"] == arn
    }
    allowed = {i.inputs["function"] for i in of(recording, "Permission") if i.inputs.get("sourceArn") == arn}
    if not called or called != allowed:
        violations.append(f"{topic.name}: calls {called}, which {allowed} allow")
    rules = {item.outputs["name"]: item.outputs["arn"] for item in of(recording, "EventRule")}
    permitted = {item.inputs.get("sourceArn") for item in of(recording, "Permission")}
    violations += [
        f"{target.name}: not allowed"
        for target in of(recording, "EventTarget")
        if rules[target.inputs["rule"]] not in permitted
    ]
    return violations


def explained(recording: Recording) -> list[str]:
    """Each alarm says how urgent it is and has a part of a runbook."""
    violations = []
    for alarm in alarms(recording):
        text = alarm.inputs["alarmDescription"]
        match = DESCRIPTION.fullmatch(text)
        path = ROOT / (match["runbook"] if match else "-")
        headings = (
            {line[3:].lower() for line in path.read_text("utf-8").splitlines() if line.startswith("## ")}
            if (path.is_file())
            else set()
        )
        if match is None or match["part"] not in headings or len(text) > LONGEST_DESCRIPTION:
            violations.append(f"{alarm.name}: {text}")
    return violations


def _bound(statement: Mapping[str, Any]) -> bool:
    """Whether a statement is for CloudWatch alone, and only on behalf of this account's alarms of one stack."""
    conditions = statement.get("Condition", {})
    source = conditions.get("ArnLike", {}).get("aws:SourceArn", "")
    return (
        statement["Principal"] == {"Service": [PUBLISHER]}
        and conditions.get("StringEquals", {}).get("aws:SourceAccount", "") != ""
        and re.fullmatch(r"arn:aws:cloudwatch:[\w-]+:\d{12}:alarm:churn-\w+-\*", source) is not None
    )


def closed_topic(recording: Recording) -> list[str]:
    """The topic is encrypted with a key that CloudWatch may use, and nobody but the stack's alarms may publish.

    CloudWatch drops alarms for a topic whose key it may not use (SNS' developer guide, "Enable compatibility between
    event sources from AWS services and encrypted topics"); AWS' own key for SNS has no policy that could allow it.
    """
    violations = []
    keys = {item.outputs["arn"]: item for item in of(recording, "Key")}
    for topic in of(recording, "Topic"):
        key = keys.get(topic.inputs.get("kmsMasterKeyId", ""))
        usable = [
            statement
            for statement in (json.loads(key.inputs["policy"])["Statement"] if key else [])
            if {"kms:Decrypt", "kms:GenerateDataKey"} <= set(statement["Action"]) and _bound(statement)
        ]
        if not usable:
            violations.append(f"{topic.name}: CloudWatch may not use its key")
        policies = [i for i in of(recording, "TopicPolicy") if i.inputs["arn"] == topic.outputs["arn"]]
        for policy in policies:
            violations += [
                f"{policy.name}: {statement['Principal']} {statement['Action']}"
                for statement in json.loads(policy.inputs["policy"])["Statement"]
                if not _bound(statement) or statement["Action"] != ["sns:Publish"]
            ]
        if not policies:
            violations.append(f"{topic.name}: no policy")
    return violations


def unreserved(recording: Recording) -> list[str]:
    """No function reserves concurrency: an account with the least limit, 10, refuses that.

    Lambda keeps at least 10, and in older accounts 50 or 100, for functions without a reservation
    (awslabs/fhir-works-on-aws-deployment 691, aws-samples/siem-on-amazon-opensearch-service 175).
    """
    return [
        f"{kind(item)} {item.name}"
        for item in of(recording, "Function")
        if (item.inputs.get("reservedConcurrentExecutions") or -1) >= 0
    ]


FIXED_PARAMETERS: Final = {
    "superuser_reserved_connections", "listen_addresses", "port", "ssl_cert_file", "ssl_key_file", "ssl_ciphers",
    "data_directory", "hba_file", "log_directory", "logging_collector", "restart_after_crash",
}  # fmt: skip
"""Parameters that nobody can change on RDS: "Modifiable: No" in awsdocs/amazon-aurora-user-guide,
`doc_source/AuroraPostgreSQL.Reference.md`, whose instances have the engine's parameters too."""


def modifiable(recording: Recording) -> list[str]:
    """No parameter group sets what RDS does not let anybody change."""
    return [
        f"{item.name}: {parameter['name']}"
        for item in of(recording, "ParameterGroup")
        for parameter in item.inputs["parameters"]
        if parameter["name"] in FIXED_PARAMETERS
    ]
