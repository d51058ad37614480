"""Alarms and events of AWS become messages on the channels of Alertmanager, whatever one of the channels does."""

from __future__ import annotations

import json
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

import pytest
from support.recorder import settings

from infra.aws import functions
from infra.aws import notify as program
from infra.workloads.alertmanager_config import CHANNELS_OF
from ops.jobs.notify.channels import ChannelError, Channels, Receivers, mail
from ops.jobs.notify.notices import notices

SECRET = {"slack_url": "https://hooks.example.com/T/B/x", "pagerduty_routing_key": "r0", "smtp_password": "p0"}
ALL = ["pagerduty", "slack", "email"]
RECEIVERS = Receivers(
    channels={"critical": ALL, "warning": ["slack"], "info": []},
    docs_url="https://git.example.com/churn/",
    slack_channel="#alerts",
    email_to="ops@example.com",
    email_from="churn@example.com",
    smtp_host="smtp.example.com",
    smtp_port=587,
    smtp_user="churn",
)


class Sent:
    """What would have been sent; ``refuse`` names a part of an address that refuses."""

    def __init__(self, refuse: str = "") -> None:
        self.posts: list[tuple[str, Mapping[str, object]]] = []
        self.mails: list[EmailMessage] = []
        self.refuse = refuse

    def post(self, url: str, body: Mapping[str, object]) -> None:
        if self.refuse and self.refuse in url:
            raise ChannelError("it answers 500")
        self.posts.append((url, body))

    def mail(self, receivers: Receivers, password: str, message: EmailMessage) -> None:
        assert (receivers, password) == (RECEIVERS, "p0")
        self.mails.append(message)

    def channels(self, secret: Mapping[str, str] = SECRET) -> Channels:
        return Channels(receivers=RECEIVERS, secret=secret, post=self.post, mail=self.mail)


def alarm(state: str = "ALARM", severity: str = "critical") -> dict[str, Any]:
    """An event of SNS with a message as CloudWatch writes it (CloudWatch's user guide, "Alarm events and SNS")."""
    message = {
        "AlarmName": "churn-prod-DatabaseStorageLow",
        "AlarmDescription": f"{severity}: The disk is full\ndocs/runbooks/aws.md#databasestoragelow",
        "AWSAccountId": "123456789012",
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed: 3 datapoints were less than the threshold.",
        "StateChangeTime": "2026-11-30T12:00:00.000+0000",
        "Region": "EU (Frankfurt)",
        "OldStateValue": "OK",
        "Trigger": {"MetricName": "FreeStorageSpace", "Namespace": "AWS/RDS"},
    }
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}]}


def test_a_critical_alarm_reaches_every_channel_with_its_runbook() -> None:
    sent = Sent()
    (notice,) = notices(alarm(), "prod")
    assert sent.channels().send(notice) == 3
    (page_url, page), (slack_url, slack) = sent.posts
    assert (page_url, page["routing_key"], page["event_action"]) == (
        "https://events.pagerduty.com/v2/enqueue", "r0", "trigger",
    )  # fmt: skip
    assert slack_url == SECRET["slack_url"]
    runbook = "Runbook: https://git.example.com/churn/docs/runbooks/aws.md#databasestoragelow"
    (mail,) = sent.mails
    for text in (json.dumps(page), str(slack["text"]), mail.get_content()):
        assert "The disk is full" in text
        assert runbook in text
    assert mail["Subject"] == "[FIRING] critical: churn-prod-DatabaseStorageLow (prod)"


def test_the_end_of_an_alarm_resolves_the_same_page() -> None:
    sent = Sent()
    for state in ("ALARM", "OK"):
        (notice,) = notices(alarm(state), "prod")
        sent.channels().send(notice)
    pages = [body for url, body in sent.posts if "pagerduty" in url]
    assert [page["event_action"] for page in pages] == ["trigger", "resolve"]
    assert pages[0]["dedup_key"] == pages[1]["dedup_key"]


@pytest.mark.parametrize(("severity", "number"), [("warning", 1), ("info", 0), ("strange", 3)])
def test_a_severity_has_its_channels_and_an_unknown_one_all(severity: str, number: int) -> None:
    (notice,) = notices(alarm(severity=severity), "prod")
    assert Sent().channels().send(notice) == number


def test_one_channel_that_refuses_keeps_no_other_from_hearing_and_is_named() -> None:
    sent = Sent(refuse="pagerduty")
    (notice,) = notices(alarm(), "prod")
    with pytest.raises(ChannelError, match="did not reach pagerduty: it answers 500"):
        sent.channels().send(notice)
    assert (len(sent.posts), len(sent.mails)) == (1, 1)


def test_a_key_that_is_missing_in_the_secret_is_named_and_no_value_is() -> None:
    sent = Sent()
    (notice,) = notices(alarm(), "prod")
    with pytest.raises(ChannelError) as caught:
        sent.channels({"smtp_password": "p0"}).send(notice)
    assert "slack: the secret has no 'slack_url'" in str(caught.value)
    assert len(sent.mails) == 1
    assert "p0" not in repr(sent.channels())


def test_a_failover_and_a_failed_rotation_are_told() -> None:
    event = {
        "id": "1",
        "time": "2026-11-30T12:00:00Z",
        "source": "aws.rds",
        "detail-type": "RDS DB Instance Event",
        "detail": {
            "EventCategories": ["failover"],
            "SourceIdentifier": "churn-prod",
            "Message": "Multi-AZ instance failover completed",
            "EventID": "RDS-EVENT-0049",
        },
    }
    (failover,) = notices(event, "prod")
    assert "Multi-AZ instance failover completed" in failover.text("")
    assert failover.runbook == "docs/runbooks/aws.md#databaseevent"
    rotation = event | {
        "source": "aws.secretsmanager",
        "detail": {"eventName": "RotationFailed", "additionalEventData": {"SecretId": "arn:web-shop"}},
    }
    (failed,) = notices(rotation, "prod")
    assert "arn:web-shop" in failed.text("")
    with pytest.raises(ValueError, match=r"aws\.ec2"):
        list(notices({"source": "aws.ec2"}, "prod"))


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_receivers_are_those_of_alertmanager(stack: str) -> None:
    alertmanager = settings(stack).alertmanager
    receivers = Receivers(**program.receivers(alertmanager))
    assert set(receivers.channels) == set(CHANNELS_OF)
    on = {channel for channel in ("slack", "email", "pagerduty") if getattr(alertmanager, channel)}
    assert {channel for chosen in receivers.channels.values() for channel in chosen} == on


def test_the_handler_loads_with_nothing_beside_the_archive(tmp_path: Path) -> None:
    for path, text in functions.files(program.PACKAGE).items():
        target = tmp_path / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
    module, _, function = functions.handler(program.PACKAGE).rpartition(".")
    command = f"import importlib; print(callable(getattr(importlib.import_module({module!r}), {function!r})))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "True", done.stderr


def test_a_mail_server_must_prove_who_it_is_before_it_gets_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library encrypts without looking at the certificate, unless it is given a context that does."""
    contexts: list[ssl.SSLContext] = []

    class Server:
        def __init__(self, *_place: object, timeout: float) -> None:
            assert timeout > 0

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_error: object) -> None: ...

        def starttls(self, *, context: ssl.SSLContext) -> None:
            contexts.append(context)

        def login(self, user: str, password: str) -> None:
            assert (contexts[0].verify_mode, contexts[0].check_hostname) == (ssl.CERT_REQUIRED, True), (user, password)

        def send_message(self, message: EmailMessage) -> None:
            assert message["Subject"] == "x"

    monkeypatch.setattr(smtplib, "SMTP", Server)
    message = EmailMessage()
    message["Subject"] = "x"
    mail(RECEIVERS, "secret", message)
    assert len(contexts) == 1
