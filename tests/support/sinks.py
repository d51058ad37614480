"""Servers to which alerts are sent in tests, in place of Slack, PagerDuty, a dead man's service and a mail server.

The services are played, and keep every message; what is sent to them is real.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any

from support.listening import Listening, QuietHandler, http
from support.servers import HOST


@dataclass(frozen=True)
class Message:
    """A message of a channel: the alert in its title, its text, whether the alert is over, and when it came."""

    channel: str
    title: str
    text: str
    resolved: bool
    at: float


def _slack(body: dict[str, Any]) -> tuple[str, str, bool]:
    (attachment,) = body["attachments"]
    return attachment["title"], attachment["text"], attachment["title"].startswith("[RESOLVED")


def _pagerduty(body: dict[str, Any]) -> tuple[str, str, bool]:
    assert body["routing_key"]
    assert body["event_action"] in {"trigger", "resolve"}
    payload = body.get("payload") or {}
    details = payload.get("custom_details") or {}
    return payload.get("summary", ""), str(details.get("alerts", "")), body["event_action"] == "resolve"


def _deadman(body: dict[str, Any]) -> tuple[str, str, bool]:
    return body["groupLabels"]["alertname"], "", body["status"] == "resolved"


SHAPES: dict[str, Callable[[dict[str, Any]], tuple[str, str, bool]]] = {
    "slack": _slack,
    "pagerduty": _pagerduty,
    "deadman": _deadman,
}


@dataclass
class Inbox:
    """All messages so far, and in ``broken`` those that a real service would refuse."""

    messages: list[Message] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def take(self, channel: str, title: str, text: str, *, resolved: bool) -> None:
        """Keep a message that has just arrived."""
        self.messages.append(Message(channel, title, text, resolved, time.monotonic()))

    def about(self, alert: str, *, resolved: bool = False, channel: str | None = None) -> list[Message]:
        """Messages about an alert, on one channel or all."""
        return [
            message
            for message in list(self.messages)
            if f": {alert} (" in message.title and message.resolved is resolved and channel in {None, message.channel}
        ]


class Hooks(Listening):
    """An HTTP server with one path for each of :data:`SHAPES`."""

    def __init__(self, inbox: Inbox) -> None:
        class Handler(QuietHandler):
            def do_POST(self) -> None:
                content = self.body()
                channel = self.path.strip("/")
                try:
                    title, text, resolved = SHAPES[channel](json.loads(content))
                except (KeyError, ValueError, AssertionError) as error:
                    inbox.broken.append(f"{channel}: {error!r}: {content.decode(errors='replace')}")
                    self.reply(400)
                    return
                inbox.take(channel, title, text, resolved=resolved)
                if channel == "slack":  # Slack's webhooks answer in plain text, and Alertmanager reads JSON as an error
                    self.reply(200, b"ok", "text/html")
                else:
                    self.reply(202 if channel == "pagerduty" else 200, b"{}")

        super().__init__(http(Handler))


class Mails(Listening):
    """A mail server that accepts everything, over SMTP without TLS."""

    def __init__(self, inbox: Inbox) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 sink")
                # A client that is stopped in the middle of a mail is no error of the server.
                with contextlib.suppress(ConnectionResetError):
                    self._talk()

            def _talk(self) -> None:
                while line := self.rfile.readline().decode().strip():
                    verb = line.split(" ")[0].upper()
                    if verb == "QUIT":
                        self._say("221 bye")
                        return
                    self._say("354 go on" if verb == "DATA" else "250 sink")
                    if verb == "DATA":
                        _keep(inbox, self._body())
                        self._say("250 kept")

            def _say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def _body(self) -> bytes:
                lines = []
                while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(line)
                return b"".join(lines)

        server = socketserver.ThreadingTCPServer((HOST, 0), Handler)
        server.daemon_threads = True
        super().__init__(server)


def _keep(inbox: Inbox, content: bytes) -> None:
    mail = message_from_bytes(content, policy=policy.default)
    part = mail.get_body(preferencelist=("plain",))
    subject = str(mail["Subject"])
    inbox.take("email", subject, part.get_content() if part else "", resolved=subject.startswith("[RESOLVED"))
