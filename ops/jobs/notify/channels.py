"""Slack, PagerDuty and e-mail, with the secrets that Alertmanager has."""

from __future__ import annotations

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Final

from .notices import Notice

CALL_SECONDS: Final = 10
PAGERDUTY: Final = "https://events.pagerduty.com/v2/enqueue"

Post = Callable[[str, Mapping[str, object]], None]
Mail = Callable[["Receivers", str, EmailMessage], None]


class ChannelError(Exception):
    """At least one channel did not take a notice; the message contains no secret."""


@dataclass(frozen=True, kw_only=True)
class Receivers:
    """Who hears of what: the stack's settings of Alertmanager."""

    channels: Mapping[str, list[str]]
    """Channels by severity."""
    docs_url: str
    slack_channel: str
    email_to: str
    email_from: str
    smtp_host: str
    smtp_port: int
    smtp_user: str


def post(url: str, body: Mapping[str, object]) -> None:
    """Send JSON over HTTPS.

    Raises:
        ChannelError: the service refuses or does not answer; the address may be a secret and is not in the message.
    """
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)  # noqa: S310 - from the secret
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS):  # noqa: S310 - as above
            pass
    except urllib.error.HTTPError as error:
        raise ChannelError(f"it answers {error.code}") from None
    except (OSError, ValueError) as error:
        raise ChannelError(f"it cannot be reached: {type(error).__name__}") from None


def mail(receivers: Receivers, password: str, message: EmailMessage) -> None:
    """Send a mail through the stack's SMTP server, over TLS.

    Raises:
        ChannelError: the server refuses or does not answer.
    """
    try:
        with smtplib.SMTP(receivers.smtp_host, receivers.smtp_port, timeout=CALL_SECONDS) as server:
            # Without a context, smtplib would encrypt but take any certificate.
            server.starttls(context=ssl.create_default_context())
            server.login(receivers.smtp_user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise ChannelError(f"the mail server: {type(error).__name__}") from None


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The channels of a stack and their secrets; ``post`` and ``mail`` can be replaced by tests."""

    receivers: Receivers
    secret: Mapping[str, str] = field(repr=False)
    post: Post = post
    mail: Mail = mail

    def send(self, notice: Notice) -> int:
        """Send a notice to every channel of its severity, whatever happens to the others; returns their number.

        Raises:
            ChannelError: one channel or more did not take it.
        """
        chosen = self.receivers.channels.get(notice.severity, [])
        problems = []
        for channel in chosen:
            try:
                self._send(channel, notice)
            except (ChannelError, KeyError) as error:
                problems.append(f"{channel}: {f'the secret has no {error}' if isinstance(error, KeyError) else error}")
        if problems:
            raise ChannelError(f"{notice.title} did not reach {'; '.join(problems)}")
        return len(chosen)

    def _send(self, channel: str, notice: Notice) -> None:
        text = notice.text(self.receivers.docs_url)
        match channel:
            case "slack":
                body = {"channel": self.receivers.slack_channel, "text": f"*{notice.title}*\n{text}"}
                self.post(self.secret["slack_url"], body)
            case "pagerduty":
                self.post(PAGERDUTY, self._event(notice, text))
            case _:
                message = EmailMessage()
                message["Subject"], message["To"] = notice.title, self.receivers.email_to
                message["From"] = self.receivers.email_from
                message.set_content(text)
                self.mail(self.receivers, self.secret["smtp_password"], message)

    def _event(self, notice: Notice, text: str) -> dict[str, object]:
        """Return an event of PagerDuty's Events API v2."""
        return {
            "routing_key": self.secret["pagerduty_routing_key"],
            "event_action": "resolve" if notice.resolved else "trigger",
            "dedup_key": f"{notice.stack}/{notice.key}",
            "payload": {
                "summary": notice.title,
                "source": notice.stack,
                "severity": notice.severity,
                "custom_details": {"alerts": text},
            },
        }
