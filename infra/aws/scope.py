"""What every component on AWS gets: the stack's settings, the account, and the names of shared resources."""

from __future__ import annotations

from dataclasses import dataclass

from infra.aws.account import Account
from infra.aws.addresses import Plan, plan
from infra.config import ConfigError, Settings
from infra.naming import PROJECT


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A stack in its account."""

    settings: Settings
    account: Account

    @property
    def prefix(self) -> str:
        """Prefix of the name of every resource that is addressed by name."""
        return f"{PROJECT}-{self.settings.stack}"

    @property
    def region(self) -> str:
        """Region of the stack."""
        return self.settings.account.region

    @property
    def account_root(self) -> str:
        """The account as a principal: everybody whom its IAM policies allow."""
        return f"arn:aws:iam::{self.account.id}:root"

    @property
    def cluster_arn(self) -> str:
        """ARN of the stack's cluster, which need not exist yet."""
        return self.arn("eks", f"cluster/{self.prefix}")

    @property
    def addresses(self) -> Plan:
        """The stack's subnets.

        Raises:
            ConfigError: the network cannot be divided into them.
        """
        try:
            return plan(self.settings.network.cidr, len(self.account.zones))
        except ValueError as error:
            raise ConfigError(f"{PROJECT}:network.cidr: {error}") from None

    @property
    def tags(self) -> dict[str, str]:
        """Cost-allocation tags, which the provider puts on every resource that it creates.

        Resources that the cluster creates (nodes, volumes, load balancers) get them in ways of their own.
        """
        account = self.settings.account
        return {
            f"{PROJECT}:stack": self.settings.stack,
            f"{PROJECT}:owner": account.owner,
            f"{PROJECT}:cost-center": account.cost_center,
            f"{PROJECT}:managed-by": "pulumi",
        }

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account.id}:{resource}"

    @property
    def has_database(self) -> bool:
        """Whether the stack has an instance on RDS."""
        return self.settings.database.kind == "rds"

    def bucket(self, role: str, region: str | None = None) -> str:
        """Return the name of a bucket, which must be unique in the world; ``region`` is that of the stack by default.

        With the region in it, the stack can be deployed elsewhere while the names of a lost region are still taken.
        """
        return f"{self.prefix}-{role}-{self.account.id}-{region or self.region}"


def named(name: str, role: str) -> dict[str, str]:
    """Return the tag that AWS's console shows as the name."""
    return {"Name": f"{name}-{role}"}
