"""What only AWS knows, in one place: which account this is, and which zones its region has.

Whatever the configuration says is taken as it is, so nothing is asked where it says both. Recordings, previews without
credentials and tests bring facts of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.config import ConfigError, Settings


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The account's number, and the names of as many zones as the stack uses, in an order that stays."""

    account_id: str
    zones: tuple[str, ...]


STAND_IN: Final = "000000000000"
"""An account that does not exist, for recordings."""


def recorded(settings: Settings) -> Facts:
    """Facts without AWS: what is configured, and made up names for the rest."""
    network, account = settings.network, settings.account
    made_up = [f"{account.region}{letter}" for letter in "abcd"[: network.zone_count]]
    return Facts(account_id=account.account_id or STAND_IN, zones=tuple(network.zones or made_up))


def asked(settings: Settings, provider: aws.Provider) -> Facts:
    """Facts of the account that the credentials are for, as far as the configuration does not say them.

    Raises:
        ConfigError: the region has fewer zones than the stack wants.
    """
    options = pulumi.InvokeOptions(provider=provider)
    account_id = settings.account.account_id or aws.get_caller_identity(opts=options).account_id
    zones = tuple(settings.network.zones) or _zones(settings, options)
    return Facts(account_id=account_id, zones=zones)


def _zones(settings: Settings, options: pulumi.InvokeOptions) -> tuple[str, ...]:
    wanted = settings.network.zone_count
    # Local zones and Wavelength lack most services.
    usual = aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])
    found = sorted(aws.get_availability_zones(state="available", filters=[usual], opts=options).names)
    if len(found) < wanted:
        raise ConfigError(
            f"churn:network.zone_count is {wanted}, but {settings.account.region} has the zones {', '.join(found)}: "
            "lower it or choose another region"
        )
    return tuple(found[:wanted])
