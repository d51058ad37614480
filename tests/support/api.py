"""The API in the test's own process: an application with its keys, called without a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message
from support.bundles import write_keys
from support.telco import EXAMPLE

from app.main import create_app
from app.service import Service
from app.settings import Settings

_DEFAULTS: dict[str, Any] = {"log_requests": False}
SCOPES = {"client": ["predict"], "operator": ["admin"], "both": ["predict", "admin"]}


def body(**changes: Any) -> bytes:
    """The example customer as a request body, with changes."""
    return json.dumps(dict(EXAMPLE) | changes).encode()


def batch_body(customers: list[dict[str, Any]]) -> bytes:
    """Customers as the body of a batch request."""
    return json.dumps({"customers": customers}).encode()


@dataclass
class Answer:
    """The application's answer to one raw ASGI request; status 0 if it sent nothing."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: bytes = b""


@dataclass
class Api:
    """One application under test."""

    app: FastAPI
    service: Service
    keys: dict[str, str]

    @asynccontextmanager
    async def client(self, key: str | None = "client") -> AsyncIterator[httpx.AsyncClient]:
        """A client that sends the key with this id, or no key."""
        headers = {"x-api-key": self.keys[key]} if key else {}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            yield client

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: list[tuple[bytes, bytes]] | None = None,
        messages: list[Message] | None = None,
        query: bytes = b"",
    ) -> Answer:
        """Send one raw ASGI request, for what no well-behaved client sends."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "root_path": "",
            "query_string": query,
            "headers": headers or [],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
        }
        waiting = iter(messages or [{"type": "http.request", "body": b"", "more_body": False}])
        answer = Answer()

        async def receive() -> Message:
            return next(waiting, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.content += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of the metrics page by name and labels, read by the format's own parser."""
        text = generate_latest(self.service.metrics.registry).decode()
        return {
            (s.name, frozenset(s.labels.items())): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }

    def sample(self, name: str, **labels: str) -> float | None:
        """The value of one sample; None if there is no such series."""
        return self.samples().get((name, frozenset(labels.items())))

    def of_model(self, name: str, **labels: str) -> float | None:
        """The value of one sample of the default model."""
        return self.sample(name, model=self.service.default.name, **labels)


def make_api(bundle: Path, folder: Path, *, rates: Mapping[str, str] | None = None, **settings: Any) -> Api:
    """An application that serves ``bundle``, with a key for each id of :data:`SCOPES`; files go to ``folder``."""
    keys: dict[str, str] = {}
    if settings.get("auth") != "off":
        path = folder / "keys.json"
        keys = write_keys(path, SCOPES, rates=rates)
        settings["api_keys_file"] = path
    chosen = Settings(**{**_DEFAULTS, "model_source": str(bundle), **settings})
    service = Service(chosen)
    return Api(create_app(chosen, service), service, keys)
