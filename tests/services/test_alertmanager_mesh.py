"""Three Alertmanagers with prod's recorded arguments find each other and share what people tell one of them.

The program is the newest one, as in the other tests of alerts; addresses are of loopback, and nobody is told anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.pod_arguments import arguments, at_home, replicas
from support.servers import HOST, Server, free_port, wait_until
from support.tools import newest_alertmanager

from infra.naming import ALERTMANAGER
from infra.workloads.alertmanager import CONFIG, DATA
from ops.plain_http import NO_TLS

pytestmark = pytest.mark.service

QUIET = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n"
HTTP, MESH = ALERTMANAGER.ports["http"], ALERTMANAGER.ports["mesh"]


class Replica(Server):
    """One pod's program; ``places`` are the ports of HTTP and of the mesh of all of them."""

    def __init__(self, folder: Path, index: int, places: list[tuple[int, int]]) -> None:
        port, mesh = places[index]
        folder.mkdir()
        (folder / "alertmanager.yml").write_text(QUIET, encoding="utf-8")
        changes = {
            f"{CONFIG}/alertmanager.yml": str(folder / "alertmanager.yml"),
            ALERTMANAGER.url(): ALERTMANAGER.url(),
            DATA: str(folder / "data"),
            f"0.0.0.0:{HTTP}": f"{HOST}:{port}",
            f"0.0.0.0:{MESH}": f"{HOST}:{mesh}",
            f"$(POD_IP):{MESH}": f"{HOST}:{mesh}",
        }
        for other, (_, its) in enumerate(places):
            changes[f"{ALERTMANAGER.name}-{other}.{ALERTMANAGER.host}:{MESH}"] = f"{HOST}:{its}"
        options = arguments("prod", "StatefulSet", ALERTMANAGER.name)
        command = [str(newest_alertmanager("alertmanager")), *at_home(options, changes)]
        super().__init__(command, folder, port=port, environment={"GOMAXPROCS": "1"})

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v2/{path}", timeout=10, trust_env=False, verify=NO_TLS)
        answer.raise_for_status()
        return answer.json()

    def members(self) -> set[str]:
        """Addresses of the mesh as this one sees it; none until it has settled."""
        cluster = self.get("status")["cluster"]
        return {peer["address"] for peer in cluster["peers"]} if cluster["status"] == "ready" else set()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    folder = tmp_path_factory.mktemp("mesh")
    count = replicas("prod", "StatefulSet", ALERTMANAGER.name)
    places = [(free_port(), free_port()) for _ in range(count)]
    with ExitStack() as stack:
        yield [stack.enter_context(Replica(folder / str(index), index, places)) for index in range(count)]


def test_every_replica_knows_all_of_them(mesh: list[Replica]) -> None:
    assert len(mesh) == 3
    wait_until(lambda: all(len(one.members()) == len(mesh) for one in mesh), "the mesh has settled")
    first, *others = [one.members() for one in mesh]
    assert all(seen == first for seen in others)


def test_a_silence_made_at_one_is_at_all(mesh: list[Replica]) -> None:
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": "ApiDown", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "shared",
    }
    answer = httpx.post(f"{mesh[0].url}/api/v2/silences", json=silence, timeout=10, trust_env=False, verify=NO_TLS)
    silence = answer.raise_for_status().json()["silenceID"]
    wait_until(lambda: all(silence in {item["id"] for item in one.get("silences")} for one in mesh), "all have it")
