"""Find what a destroyed stack has left behind: ``python -m ops.stack.leftovers --stack staging --region eu-central-1``.

Some things come after a destroy, or are none of Pulumi's. Services write their last log lines minutes later, and create
the log group again for them, which the next `pulumi up` then finds in its way (terraform-aws-eks #920). Denying that to
the cluster's role does not help, since EKS' own role does it (#2446, #2763). Controllers of a cluster that went too
early leave load balancers, their groups, and interfaces of nodes, and the network cannot be deleted before them.

With ``--delete``, everything that holds no data is removed. Volumes and snapshots are only listed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from infra.naming import PROJECT
from ops.errors import OpsError, RefusedError, exit_code

LOG_PATHS: Final = (
    "/aws/eks/{}/",
    "/aws/rds/instance/{}/",
    "/aws/lambda/{}-",
    "/aws/containerinsights/{}/",
    "/{}/",
    "aws-waf-logs-{}",
)
"""Where the services of a stack write their logs, by the stack's prefix."""
OWNED: Final = ("eks:eks-cluster-name", "cluster.k8s.amazonaws.com/name", "elbv2.k8s.aws/cluster")
"""Tags whose value is the cluster: those of Auto Mode, the VPC CNI, and the load balancer controller."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that is left; ``delete`` is None where it may hold data."""

    kind: str
    name: str
    delete: Callable[[], object] | None = None


class Account:
    """What one region of an account has of a stack; ``session`` is boto3's."""

    def __init__(self, session: Any, stack: str, region: str) -> None:
        self.prefix, self._stack = f"{PROJECT}-{stack}", stack
        self._logs, self._ec2, self._elb, self._rds, self._eks = (
            session.client(service, region_name=region) for service in ("logs", "ec2", "elbv2", "rds", "eks")
        )

    def is_up(self) -> bool:
        """Return whether the stack's cluster or database exists."""
        clusters = self._pages(self._eks, "list_clusters", "clusters")
        databases = self._pages(self._rds, "describe_db_instances", "DBInstances")
        return self.prefix in clusters or any(item["DBInstanceIdentifier"] == self.prefix for item in databases)

    def leftovers(self) -> list[Leftover]:
        """Return everything that is left, in the order in which it can be deleted.

        Raises:
            RefusedError: the stack is still up, so that what belongs to it is no leftover.
        """
        if self.is_up():
            raise RefusedError(f"{self.prefix} is still up: run 'pulumi destroy' first")
        return [*self._balancers(), *self._interfaces(), *self._groups(), *self._log_groups(), *self._data()]

    @staticmethod
    def _pages(client: Any, call: str, field: str, **arguments: Any) -> list[Any]:
        pages = client.get_paginator(call).paginate(**arguments)
        return [item for page in pages for item in page[field]]

    def _is_ours(self, tags: Sequence[Mapping[str, str]]) -> bool:
        known = {tag["Key"]: tag["Value"] for tag in tags}
        by_cluster = any(known.get(key) == self.prefix for key in OWNED)
        return by_cluster or f"kubernetes.io/cluster/{self.prefix}" in known

    def _balancers(self) -> Iterator[Leftover]:
        kinds = (
            ("describe_load_balancers", "LoadBalancers", "LoadBalancerArn", self._elb.delete_load_balancer),
            ("describe_target_groups", "TargetGroups", "TargetGroupArn", self._elb.delete_target_group),
        )
        for call, field, arn, delete in kinds:
            for item in self._pages(self._elb, call, field):
                (described,) = self._elb.describe_tags(ResourceArns=[item[arn]])["TagDescriptions"]
                if self._is_ours(described["Tags"]):
                    yield Leftover(kind=field, name=item[arn], delete=partial(delete, **{arn: item[arn]}))

    def _interfaces(self) -> Iterator[Leftover]:
        for item in self._pages(self._ec2, "describe_network_interfaces", "NetworkInterfaces"):
            if self._is_ours(item.get("TagSet", [])):
                name = item["NetworkInterfaceId"]
                yield Leftover(
                    kind="NetworkInterface",
                    name=name,
                    delete=partial(self._ec2.delete_network_interface, NetworkInterfaceId=name),
                )

    def _groups(self) -> Iterator[Leftover]:
        for item in self._pages(self._ec2, "describe_security_groups", "SecurityGroups"):
            if self._is_ours(item.get("Tags", [])):
                name = item["GroupId"]
                yield Leftover(
                    kind="SecurityGroup", name=name, delete=partial(self._ec2.delete_security_group, GroupId=name)
                )

    def _log_groups(self) -> Iterator[Leftover]:
        for path in LOG_PATHS:
            prefix = path.format(self.prefix)
            for item in self._pages(self._logs, "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
                name = item["logGroupName"]
                yield Leftover(
                    kind="LogGroup", name=name, delete=partial(self._logs.delete_log_group, logGroupName=name)
                )

    def _data(self) -> Iterator[Leftover]:
        of_stack = [{"Name": f"tag:{PROJECT}:stack", "Values": [self._stack]}]
        for item in self._pages(self._ec2, "describe_volumes", "Volumes", Filters=of_stack):
            yield Leftover(kind="Volume", name=item["VolumeId"])
        for item in self._pages(self._rds, "describe_db_snapshots", "DBSnapshots", SnapshotType="manual"):
            if item["DBInstanceIdentifier"] == self.prefix:
                yield Leftover(kind="Snapshot", name=item["DBSnapshotIdentifier"])


def clear(account: Account) -> list[Leftover]:
    """Delete what holds no data; return what stays."""
    for item in account.leftovers():
        if item.delete is not None:
            item.delete()
    return account.leftovers()


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code: 1 if something without data is left."""
    import boto3  # noqa: PLC0415 - slow to import, and --help does not need it

    parser = argparse.ArgumentParser(prog="python -m ops.stack.leftovers", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--delete", action="store_true", help="delete what holds no data")
    options = parser.parse_args(argv)
    account = Account(boto3.Session(), options.stack, options.region)
    try:
        left = clear(account) if options.delete else account.leftovers()
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program that an administrator runs
        return exit_code(error)
    for item in left:
        print(f"{item.kind} {item.name}{'' if item.delete else ' (may hold data: look first)'}")  # noqa: T201 - as above
    return 1 if any(item.delete for item in left) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
