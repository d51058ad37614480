"""Estimates the monthly cost of a stack on AWS: ``python -m ops.stack.cost``.

The estimate is made from the recorded stack and a table of list prices, to compare stacks and choices; it is not a bill.
Whatever depends on use (traffic, requests, logs, the number of pods) follows from assumptions that are printed with it:
little, usual and much use give a range. Nodes are counted as the cores that the pods of the recorded stack request.
"""

# ruff: noqa: E501 - a row of a table on one line
from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.prices import FILE, GENERAL, TABLE
from ops.errors import OpsError, exit_code
from ops.stack.checkout import ROOT, stack_config, stack_names
from ops.stack.cost_use import USES, USUAL, Use
from ops.stack.demand import quantity
from ops.stack.recording import Recording
from ops.stack.render import recorded

DOCUMENT: Final = ROOT / "docs" / "cost.md"
NODE_SHARE: Final = 0.75
"""Share of a node's cores that pods request; the rest is the system's, or unused."""
PREDICTIONS: Final = 10_000_000
"""Predictions a month: about four a second."""


WAF_RULES: Final = 5
"""Rules of the firewall, each of which is charged for."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the estimate."""

    name: str
    usd: float
    why: str


def _pods(recording: Recording, *, scaled: bool) -> tuple[float, int]:
    """Return the cores that long-running pods request, and the GiB of the volumes that they claim."""
    asked, gib = 0.0, 0
    scale = {
        item.inputs["spec"]["scaleTargetRef"]["name"]: item.inputs["spec"]["maxReplicas" if scaled else "minReplicas"]
        for item in recording.resources
        if item.inputs.get("kind") == "HorizontalPodAutoscaler"
    }
    for item in recording.resources:
        if not item.is_kubernetes:
            continue
        kind, spec = item.inputs["kind"], item.inputs.get("spec", {})
        if kind == "PersistentVolumeClaim":
            gib += int(spec["resources"]["requests"]["storage"].removesuffix("Gi"))
        if kind not in {"Deployment", "StatefulSet"}:
            continue
        count = spec.get("replicas") or scale.get(item.outputs["metadata"]["name"], 1)
        containers = spec["template"]["spec"]["containers"]
        asked += count * sum(quantity(container["resources"]["requests"]["cpu"]) for container in containers)
        for claim in spec.get("volumeClaimTemplates", []):
            gib += count * int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    return asked, gib


def _kinds(recording: Recording) -> Counter[str]:
    """Count the AWS resources of each kind."""
    return Counter(item.type.rpartition(":")[2] for item in recording.resources if item.type.startswith("aws:"))


def bill(recording: Recording, settings: Mapping[str, Any], use: Use = USUAL) -> list[Item]:
    """Return the lines of a stack's monthly estimate, the most expensive first.

    Raises:
        OpsError: the table has no price for the database's class.
    """
    rds = settings["churn:rds"]
    if rds["instance_class"] not in TABLE["rds_hour"]:
        raise OpsError(f"{FILE.name} has no price of {rds['instance_class']}: add it to rds_hour")
    lines = [*_computing(recording, settings, use), *_network(recording, settings, use), *_keeping(recording, use)]
    return sorted(lines, key=lambda item: -item.usd)


def _computing(recording: Recording, settings: Mapping[str, Any], use: Use) -> list[Item]:
    """Return the lines of nodes, the control plane and the database."""
    hours, rds = TABLE["hours_per_month"], settings["churn:rds"]
    asked, _ = _pods(recording, scaled=use.scaled)
    nodes = asked / NODE_SHARE
    is_auto = settings["churn:eks"]["nodes"] == "auto"
    auto = 1 + (TABLE["auto_mode_share"] if is_auto else 0)
    system = use.system_nodes if is_auto else 0
    copies = 2 if rds["multi_az"] else 1
    database = TABLE["rds_hour"][rds["instance_class"]] * hours + rds["storage_gib"] * TABLE["rds_gib_month"]
    return [
        Item(name="Nodes", usd=nodes * GENERAL.hour / GENERAL.vcpus * hours * auto, why=f"{nodes:.1f} cores for pods that request {asked:.1f}"),
        Item(name="System nodes", usd=system * TABLE["system_node_hour"] * hours * auto, why=f"{system} of Auto Mode's own pool"),
        Item(name="Database", usd=copies * database, why=f"{copies} x {rds['instance_class']}"),
        Item(name="Control plane", usd=TABLE["eks_cluster_hour"] * hours, why="one cluster on standard support"),
    ]  # fmt: skip


def _network(recording: Recording, settings: Mapping[str, Any], use: Use) -> list[Item]:
    """Return the lines of what packets pass through."""
    hours, edge, kinds = TABLE["hours_per_month"], settings["churn:edge"], _kinds(recording)
    endpoints = [
        item for item in recording.resources
        if item.type.endswith(":VpcEndpoint") and item.inputs["vpcEndpointType"] == "Interface"
    ]  # fmt: skip
    zones = sum(len(item.inputs["subnetIds"]) for item in endpoints)
    public = sum(item.type.endswith(":Subnet") and "public" in item.name for item in recording.resources)
    addresses = kinds["Eip"] + public
    kind = edge["balancer"]
    balancer = TABLE["load_balancer_hour"][kind] + use.balancer_units * TABLE["load_balancer_unit_hour"][kind]
    firewall = TABLE["waf_acl_month"] + WAF_RULES * TABLE["waf_rule_month"] if edge["waf"] else 0
    nats = kinds["NatGateway"]
    return [
        Item(name="NAT gateways", usd=nats * TABLE["nat_gateway_hour"] * hours + use.nat_gib * TABLE["nat_gib"], why=f"{nats}, and {use.nat_gib} GiB"),
        Item(name="Interface endpoints", usd=zones * TABLE["interface_endpoint_zone_hour"] * hours, why=f"{len(endpoints)} services in {zones // max(1, len(endpoints))} zones"),
        Item(name="Public addresses", usd=addresses * TABLE["public_ipv4_hour"] * hours, why=f"{kinds['Eip']} of NAT gateways, {public} of the load balancer"),
        Item(name="Load balancers", usd=2 * balancer * hours + firewall, why=f"2 x {kind} (public and internal), and {use.balancer_units:g} of its units each"),
        Item(name="Between zones", usd=2 * use.cross_zone_gib * TABLE["cross_zone_gib"], why=f"{use.cross_zone_gib} GiB, out and in"),
        Item(name="Domain", usd=kinds["Zone"] * TABLE["route53_zone_month"], why="a hosted zone"),
    ]  # fmt: skip


def _keeping(recording: Recording, use: Use) -> list[Item]:
    """Return the lines of what is stored and watched."""
    kinds = _kinds(recording)
    _, gib = _pods(recording, scaled=use.scaled)
    # A copy in another region costs as much as a secret.
    copies = sum(len(item.inputs.get("replicas") or ()) for item in recording.resources)
    secrets = kinds["Secret"] + copies
    logs = use.log_gib * (TABLE["log_gib"] + TABLE["log_stored_gib_month"])
    return [
        Item(name="Volumes", usd=gib * TABLE["ebs_gib_month"], why=f"{gib} GiB"),
        Item(name="Logs", usd=logs, why=f"{use.log_gib} GiB written, and kept for a month"),
        Item(name="Secrets and keys", usd=secrets * TABLE["secret_month"] + kinds["Key"] * TABLE["kms_key_month"], why=f"{secrets} secrets and copies of them, {kinds['Key']} keys"),
        Item(name="Buckets", usd=use.object_gib * TABLE["s3_gib_month"], why=f"{use.object_gib} GiB"),
        Item(name="Alarms", usd=kinds["MetricAlarm"] * TABLE["alarm_month"], why=f"{kinds['MetricAlarm']}"),
    ]  # fmt: skip


def on_aws(root: Path) -> list[str]:
    """Return the stacks that cost something."""
    return [name for name in stack_names(root) if stack_config(name, root)["churn:cluster"]["kind"] == "eks"]


def estimates(stack: str, root: Path) -> list[list[Item]]:
    """Estimate the month of a stack of a checkout, once for each of `USES`."""
    config = stack_config(stack, root)
    recording = recorded(stack, config, {})
    return [bill(recording, config, use) for use in USES]


def source(table: Mapping[str, Any]) -> str:
    """Say what the prices rest on."""
    where = f"List prices of AWS for {table['region']} in US dollars"
    if table["verified"]:
        return f"{where}, read from AWS' price list of {table['as_of']} by `churn cost refresh`."
    return (
        f"{where}, entered by hand on {table['as_of']} and not verified against AWS: run `churn cost refresh`, which reads\n"
        "AWS' price list, before relying on a figure."
    )


def _stack(stack: str, bills: Sequence[Sequence[Item]]) -> list[str]:
    """Return the part of the document about one stack."""
    least, usual, most = (sum(item.usd for item in items) for items in bills)
    by_name = [{item.name: item for item in items} for items in bills]
    rows = [
        f"| {name} | {' | '.join(f'{items[name].usd:,.0f}' for items in by_name)} | {item.why} |"
        for name, item in by_name[1].items()
    ]
    per = [total / PREDICTIONS * 1000 for total in (least, most)]
    return [
        f"## {stack}: {least:,.0f} to {most:,.0f} USD, usually about {usual:,.0f}",
        "",
        f"| Part | {' | '.join(use.name for use in USES)} | For, in usual use |",
        "|---|---:|---:|---:|---|",
        *rows,
        "",
        f"At {PREDICTIONS:,} predictions a month: {per[0]:.3f} to {per[1]:.3f} USD per 1,000.",
        "",
    ]


def _assumptions() -> list[str]:
    """Return the table of what the range rests on."""
    rows: dict[str, list[object]] = {
        "GiB through NAT": [use.nat_gib for use in USES],
        "GiB of logs": [use.log_gib for use in USES],
        "GiB between zones": [use.cross_zone_gib for use in USES],
        "GiB in buckets": [use.object_gib for use in USES],
        "load balancer units": [f"{use.balancer_units:g}" for use in USES],
        "nodes of Auto Mode's system pool": [use.system_nodes for use in USES],
        "pods of autoscalers": ["most" if use.scaled else "least" for use in USES],
    }
    return [
        f"| A month has | {' | '.join(use.name for use in USES)} |",
        "|---|---:|---:|---:|",
        *(f"| {name} | {' | '.join(map(str, values))} |" for name, values in rows.items()),
    ]


def document(bills: Mapping[str, Sequence[Sequence[Item]]]) -> str:
    """Return the text of docs/cost.md."""
    lines = [
        "# What a month costs",
        "",
        "Written by `python -m ops.stack.cost --write` from the recorded stacks and the prices in `infra/prices.json`, where each",
        "price has its name in AWS' price list. An estimate for comparison, not a bill.",
        "",
        source(TABLE),
        "",
    ]
    for stack, each in bills.items():
        lines += _stack(stack, each)
    lines += [
        "## What it rests on",
        "",
        f"The pods' requests (pods can use {NODE_SHARE:.0%} of a node's cores), a second copy of the database, a",
        "NAT gateway and the interface endpoints in each zone: every hour, whether or not anybody asks for a prediction. So the",
        "price of a prediction falls with their number until the autoscaler adds pods. The rest follows from use, which is assumed:",
        "",
        *_assumptions(),
        "",
        "Logs are the part that grows unnoticed: a GiB costs more to write than to keep for a year. Not counted: traffic to clients,",
        "training on spot nodes, backups, storage in the second region, taxes.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack.cost", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--write", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)} instead of printing it"
    )
    options = parser.parse_args(argv)
    try:
        text = document({stack: estimates(stack, ROOT) for stack in on_aws(ROOT)})
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program that a person runs
        return exit_code(error)
    if options.write:
        DOCUMENT.write_text(text, encoding="utf-8")
    else:
        print(text)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
