"""What the cluster half of the program needs of the cloud half: the seam between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from infra.secret_files import SecretSource

ANYWHERE = ("0.0.0.0/0",)


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where PostgreSQL answers."""

    host: pulumi.Input[str]
    port: int = 5432
    cidrs: tuple[str, ...] = ()
    """Networks of a database outside of the cluster; empty when it is a pod."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """How interruptible work finds its nodes: the label they carry and the taint it must tolerate."""

    label: tuple[str, str]
    taint: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class CloudOutputs:
    """Everything around the cluster, for a laptop as for AWS.

    ``secrets`` has a source for each of `infra.secret_files.ALL`. ``roles`` gives the IAM role of a service account by
    its workload's name. A bucket that is None means a volume. The CIDRs bound what network policies open.
    """

    secrets: Mapping[str, SecretSource]
    database: Database
    region: str | None = None
    storage_class: str | None = None
    """None takes the cluster's default class."""
    artifacts_bucket: pulumi.Input[str] | None = None
    backups_bucket: pulumi.Input[str] | None = None
    roles: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    certificate_arn: pulumi.Input[str] | None = None
    """Of the load balancer at the edge; NGINX behind it has a certificate of its own in any case."""
    zones: int = 1
    spot: Spot | None = None
    api_server_cidrs: tuple[str, ...] = ANYWHERE
    node_cidrs: tuple[str, ...] = ANYWHERE
    dns_cidrs: tuple[str, ...] = ()
    """Where DNS answers outside of the pods of kube-system."""
    first_api_key: pulumi.Output[str] | None = None
    """A key made for the first requests, where the stack makes its keys itself."""
