"""What every component on AWS is given: the stack's settings, the account, and names that others look things up by."""

from __future__ import annotations

from dataclasses import dataclass

from infra.aws.account import Account
from infra.aws.addresses import Plan, plan
from infra.config import ConfigError, Settings
from infra.naming import PROJECT


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One stack in one account."""

    settings: Settings
    account: Account

    @property
    def prefix(self) -> str:
        """Begins the name of everything that is addressed by name."""
        return f"{PROJECT}-{self.settings.stack}"

    @property
    def region(self) -> str:
        """Where it all is."""
        return self.settings.account.region

    @property
    def account_root(self) -> str:
        """The account as a principal: whoever its IAM policies let in."""
        return f"arn:aws:iam::{self.account.id}:root"

    @property
    def cluster_arn(self) -> str:
        """Of the stack's cluster, whether made yet or not."""
        return self.arn("eks", f"cluster/{self.prefix}")

    @property
    def addresses(self) -> Plan:
        """The stack's subnets.

        Raises:
            ConfigError: the network cannot be shared out.
        """
        try:
            return plan(self.settings.network.cidr, len(self.account.zones))
        except ValueError as error:
            raise ConfigError(f"{PROJECT}:network.cidr: {error}") from None

    @property
    def tags(self) -> dict[str, str]:
        """Cost-allocation tags, which the provider puts on everything it makes.

        What others make in the stack's name (nodes, volumes, load balancers) gets them by its own way.
        """
        account = self.settings.account
        return {
            f"{PROJECT}:stack": self.settings.stack,
            f"{PROJECT}:owner": account.owner,
            f"{PROJECT}:cost-center": account.cost_center,
            f"{PROJECT}:managed-by": "pulumi",
        }

    def arn(self, service: str, resource: str) -> str:
        """Of something in this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account.id}:{resource}"

    def bucket(self, role: str) -> str:
        """A bucket's name, which no other account of the world may have."""
        return f"{self.prefix}-{role}-{self.account.id}"


def named(name: str, role: str) -> dict[str, str]:
    """The tag that the console shows as a name."""
    return {"Name": f"{name}-{role}"}
