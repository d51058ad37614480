"""The account and zones of a stack: what only AWS knows, in one place.

Whatever the configuration says is taken as it is, so AWS is asked only for what is missing there. Renders, previews
without credentials, and tests pass a stand-in instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.config import ConfigError, Settings
from infra.naming import PROJECT


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account's number, and the names of as many zones as the stack uses, in an order that never changes."""

    id: str
    zones: tuple[str, ...]


STAND_IN_ID: Final = "000000000000"
"""Number of an account that does not exist."""


def stand_in(settings: Settings) -> Account:
    """Build an account without asking AWS: what is configured, and invented names for the rest."""
    network, account = settings.network, settings.account
    invented = [f"{account.region}{letter}" for letter in "abcd"[: network.zone_count]]
    return Account(id=account.account_id or STAND_IN_ID, zones=tuple(network.zones or invented))


def look_up(settings: Settings, provider: aws.Provider) -> Account:
    """Ask AWS for whatever the configuration leaves open, with the credentials at hand.

    Raises:
        ConfigError: the region has fewer zones than the stack needs.
    """
    options = pulumi.InvokeOptions(provider=provider)
    account_id = settings.account.account_id or aws.get_caller_identity(opts=options).account_id
    zones = tuple(settings.network.zones) or _zones(settings, options)
    return Account(id=account_id, zones=zones)


def _zones(settings: Settings, options: pulumi.InvokeOptions) -> tuple[str, ...]:
    count = settings.network.zone_count
    # Local zones and Wavelength zones lack most services.
    usual = aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])
    available = sorted(aws.get_availability_zones(state="available", filters=[usual], opts=options).names)
    if len(available) < count:
        raise ConfigError(
            f"{PROJECT}:network.zone_count is {count}, but {settings.account.region} has the zones "
            f"{', '.join(available)}: lower it or choose another region"
        )
    return tuple(available[:count])
