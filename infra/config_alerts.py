"""Configuration of who hears of alerts, and the secrets that this needs."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from infra.config_types import Replicas, Section


class AlertmanagerSettings(Section):
    """Receivers of alerts."""

    replicas: Replicas
    slack: bool
    slack_channel: str
    email: bool
    email_to: str
    email_from: str
    smtp_host: str
    smtp_user: str
    pagerduty: bool
    deadman: bool
    """Send the Watchdog to an outside service, which notifies people when it stops arriving."""
    docs_url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")]
    """Address where people read this repository, for links to runbooks in messages and in Grafana's panels; if empty,
    they have only the path."""

    @model_validator(mode="after")
    def _receivers(self) -> Self:
        if self.slack and not self.slack_channel:
            raise ValueError("slack is on but slack_channel is empty: name the channel, for example '#churn-alerts'")
        if self.email and not (self.email_to and self.email_from and self.smtp_host and self.smtp_user):
            raise ValueError("email is on but email_to, email_from, smtp_host or smtp_user is empty: fill all four")
        return self


CHANNELS: Final = {"slack": "slack_url", "email": "smtp_password", "pagerduty": "pagerduty_routing_key"}
"""Channels by which people hear of an alert, and the secret that each of them needs."""
RECEIVER_SECRETS: Final = {**CHANNELS, "deadman": "deadman_url"}
"""The same, with the service that expects the Watchdog, which is not a channel to people."""


class ReceiverSecrets(Section):
    """Secrets of the alert receivers, for stacks without AWS Secrets Manager: `pulumi config set --secret --path`."""

    # An error message must not contain a secret.
    model_config = ConfigDict(hide_input_in_errors=True)

    slack_url: str = ""
    smtp_password: str = ""
    pagerduty_routing_key: str = ""
    deadman_url: str = ""
