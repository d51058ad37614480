"""The exporter of PostgreSQL as its pod runs it: Debian's program with the recorded arguments and environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
from prometheus_client.samples import Sample
from support.exposed import on_page
from support.postgres import Postgres
from support.programs import program
from support.recorder import manifest
from support.servers import HOST, Server, free_port

from infra.naming import POSTGRES, POSTGRES_EXPORTER
from infra.workloads.postgres_exporter import LOGIN
from ops.plain_http import NO_TLS

PROGRAM: Final = "prometheus-postgres-exporter"
"""Name of the program and of its package."""


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


class PostgresExporter(Server):
    """The pod's program, started as its manifest says but for addresses and the folder of the login."""

    def __init__(self, postgres: Postgres, folder: Path, *, login: Path, database_port: int | None = None) -> None:
        port = free_port()
        changes = {
            f"{POSTGRES.host}:{POSTGRES.ports['postgres']}": f"{HOST}:{database_port or postgres.port}",
            LOGIN.path: str(login),
            f"=:{POSTGRES_EXPORTER.ports['http']}": f"={HOST}:{port}",
        }
        (container,) = manifest("dev", "Deployment", POSTGRES_EXPORTER.name)["spec"]["template"]["spec"]["containers"]
        environment = {variable["name"]: _changed(variable["value"], changes) for variable in container["env"]}
        command = [program(PROGRAM, PROGRAM), *(_changed(argument, changes) for argument in container["args"])]
        super().__init__(command, folder, port=port, environment=environment)

    def text(self) -> str:
        """The page that a scrape gets."""
        answer = httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False, verify=NO_TLS)
        answer.raise_for_status()
        return answer.text

    def samples(self) -> list[Sample]:
        """The samples of that page."""
        return on_page(self.text())

    def value(self, name: str, **labels: str) -> float:
        """The value of the only sample with this name and, among others, these labels."""
        (value,) = (
            sample.value for sample in self.samples() if sample.name == name and labels.items() <= sample.labels.items()
        )
        return value
