"""Estimates the monthly cost of a stack on AWS: ``python -m ops.stack.cost``.

The estimate is made from the recorded stack and a table of list prices, to compare stacks and choices; it is not a bill.
Whatever depends on use (traffic, requests, logs, the number of nodes) follows from assumptions that are printed with
it. Nodes are counted as the cores that the pods of the recorded stack request.
"""

# ruff: noqa: E501 - a row of a table on one line
from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.prices import FILE, GENERAL, TABLE
from ops.errors import OpsError, exit_code
from ops.stack.checkout import ROOT, stack_config, stack_names
from ops.stack.demand import quantity
from ops.stack.recording import Recording
from ops.stack.render import recorded

DOCUMENT: Final = ROOT / "docs" / "cost.md"
NODE_SHARE: Final = 0.75
"""Share of a node's cores that pods request; the rest is the system's, or unused."""
GIB_OUT_NAT: Final = 100
GIB_LOGS: Final = 20
GIB_OBJECTS: Final = 100
PREDICTIONS: Final = 10_000_000
"""Predictions a month: about four a second."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the estimate."""

    name: str
    usd: float
    why: str


def _pods(recording: Recording) -> tuple[float, int]:
    """Return the cores that long-running pods request, and the GiB of the volumes that they claim."""
    asked, gib = 0.0, 0
    minimum = {
        item.inputs["spec"]["scaleTargetRef"]["name"]: item.inputs["spec"]["minReplicas"]
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
        count = spec.get("replicas") or minimum.get(item.outputs["metadata"]["name"], 1)
        containers = spec["template"]["spec"]["containers"]
        asked += count * sum(quantity(container["resources"]["requests"]["cpu"]) for container in containers)
        for claim in spec.get("volumeClaimTemplates", []):
            gib += count * int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    return asked, gib


def bill(recording: Recording, settings: Mapping[str, Any]) -> list[Item]:
    """Return the lines of a stack's monthly estimate, the most expensive first.

    Raises:
        OpsError: the table has no price for the database's class.
    """
    hours = TABLE["hours_per_month"]
    kinds: dict[str, int] = {}
    for item in (item for item in recording.resources if item.type.startswith("aws:")):
        kind = item.type.rpartition(":")[2]
        kinds[kind] = kinds.get(kind, 0) + 1
    endpoints = [
        item for item in recording.resources
        if item.type.endswith(":VpcEndpoint") and item.inputs["vpcEndpointType"] == "Interface"
    ]  # fmt: skip
    zones = sum(len(item.inputs["subnetIds"]) for item in endpoints)
    asked, gib = _pods(recording)
    nodes = asked / NODE_SHARE
    rds, edge = settings["churn:rds"], settings["churn:edge"]
    if rds["instance_class"] not in TABLE["rds_hour"]:
        raise OpsError(f"{FILE.name} has no price of {rds['instance_class']}: add it to rds_hour")
    auto = 1 + (TABLE["auto_mode_share"] if settings["churn:eks"]["nodes"] == "auto" else 0)
    core = GENERAL.hour / GENERAL.vcpus
    copies = 2 if rds["multi_az"] else 1
    balancer = TABLE["load_balancer_hour"][edge["balancer"]] + TABLE["load_balancer_unit_hour"]
    balancers = 2  # a public one, and one inside the VPC
    lines = [
        Item(name="Nodes", usd=nodes * core * hours * auto, why=f"{nodes:.1f} cores for pods that request {asked:.1f}"),
        Item(name="Database", usd=copies * (TABLE["rds_hour"][rds["instance_class"]] * hours + rds["storage_gib"] * TABLE["rds_gib_month"]), why=f"{copies} x {rds['instance_class']}"),
        Item(name="NAT gateways", usd=kinds.get("NatGateway", 0) * TABLE["nat_gateway_hour"] * hours + GIB_OUT_NAT * TABLE["nat_gib"], why=f"{kinds.get('NatGateway', 0)}, and {GIB_OUT_NAT} GiB"),
        Item(name="Interface endpoints", usd=zones * TABLE["interface_endpoint_zone_hour"] * hours, why=f"{len(endpoints)} services in {zones // max(1, len(endpoints))} zones"),
        Item(name="Control plane", usd=TABLE["eks_cluster_hour"] * hours, why="one cluster on standard support"),
        Item(name="Volumes", usd=gib * TABLE["ebs_gib_month"], why=f"{gib} GiB"),
        Item(name="Load balancers", usd=balancers * balancer * hours + (TABLE["waf_month"] if edge["waf"] else 0), why=f"{balancers} x {edge['balancer']}"),
        Item(name="Logs", usd=GIB_LOGS * TABLE["log_gib"], why=f"{GIB_LOGS} GiB"),
        Item(name="Secrets and keys", usd=kinds.get("Secret", 0) * TABLE["secret_month"] + kinds.get("Key", 0) * TABLE["kms_key_month"], why=f"{kinds.get('Key', 0)} keys"),
        Item(name="Buckets", usd=GIB_OBJECTS * TABLE["s3_gib_month"], why=f"{GIB_OBJECTS} GiB"),
        Item(name="Domain", usd=kinds.get("Zone", 0) * TABLE["route53_zone_month"], why="a hosted zone"),
    ]  # fmt: skip
    return sorted(lines, key=lambda item: -item.usd)


def on_aws(root: Path) -> list[str]:
    """Return the stacks that cost something."""
    return [name for name in stack_names(root) if stack_config(name, root)["churn:cluster"]["kind"] == "eks"]


def estimate(stack: str, root: Path) -> list[Item]:
    """Estimate the month of a stack of a checkout."""
    config = stack_config(stack, root)
    return bill(recorded(stack, config, {}), config)


def document(bills: Mapping[str, Sequence[Item]]) -> str:
    """Return the text of docs/cost.md."""
    lines = [
        "# What a month costs",
        "",
        "Written by `python -m ops.stack.cost --write` from the recorded stacks and the prices in `infra/prices.json`. An estimate",
        "for comparison, not a bill.",
        "",
        TABLE["source"],
        "",
    ]
    for stack, items in bills.items():
        total = sum(item.usd for item in items)
        lines += [f"## {stack}: about {total:,.0f} USD", "", "| Part | USD | For |", "|---|---:|---|"]
        lines += [f"| {item.name} | {item.usd:,.0f} | {item.why} |" for item in items]
        per = total / PREDICTIONS * 1000
        lines += ["", f"At {PREDICTIONS:,} predictions a month: {per:.3f} USD per 1,000.", ""]
    lines += [
        "## What drives it",
        "",
        f"The pods' requests (pods can use {NODE_SHARE:.0%} of a node's cores), a second copy of the database, a",
        "NAT gateway and the interface endpoints in each zone: every hour, whether or not anybody asks for a prediction. So the",
        "price of a prediction falls with their number until the autoscaler adds pods.",
        "",
        f"Assumed use: {GIB_OUT_NAT} GiB through NAT, {GIB_LOGS} GiB of logs, {GIB_OBJECTS} GiB in buckets. Not counted: traffic to clients, training on",
        "spot nodes, backups, the second region, taxes.",
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
        text = document({stack: estimate(stack, ROOT) for stack in on_aws(ROOT)})
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
