"""PostgreSQL has one major everywhere: clients must not be older than the server, nor a drill's server than a dump."""

from __future__ import annotations

import re

from support import postgres
from support.paths import ROOT

from infra.aws import database
from infra.versions import PUBLIC
from ops.backup import postgres_client


def test_server_clients_and_tests_have_the_same_major() -> None:
    image = PUBLIC["postgres"].rpartition(":")[2].split(".")[0]
    dockerfile = (ROOT / "Dockerfile").read_text()
    majors = {
        "RDS": {database.MAJOR},
        "ops image, package": set(re.findall(r"postgresql-(\d+)", dockerfile)),
        "ops image, programs": set(re.findall(r"/usr/lib/postgresql/(\d+)/bin", dockerfile)),
        "programs that ops looks for": {postgres_client.VERSION},
        "tests": {postgres.VERSION},
    }
    assert {where: versions for where, versions in majors.items() if versions != {image}} == {}
