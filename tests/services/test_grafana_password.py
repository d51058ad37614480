"""The documented reset of Grafana's password, by the stand-in's command line, with the settings of the recorded pod."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.image_traits import FOLDER
from support.mlflow_pods import PASSWORDS
from support.paths import ROOT
from support.postgres import Postgres
from support.recorder import manifest
from support.servers import HOST

pytestmark = pytest.mark.service

SECRETS = "/run/secrets/churn"
DOCUMENTED = "grafana cli admin reset-admin-password --password-from-stdin"


def settings(server: Postgres, folder: Path) -> dict[str, str]:
    """The pod's variables, with the place of the database and of the secrets' files on this machine."""
    for name, password in {"postgres": PASSWORDS["grafana"] + "\n", "grafana-admin": "first-password\n"}.items():
        secret = folder / name
        secret.mkdir()
        (secret / "username").write_text("grafana\n" if name == "postgres" else "admin\n")
        (secret / "password").write_text(password)
    spec = manifest("dev", "Deployment", "grafana")["spec"]["template"]["spec"]
    variables = {item["name"]: item["value"].replace(SECRETS, str(folder)) for item in spec["containers"][0]["env"]}
    return variables | {"GF_DATABASE_HOST": f"{HOST}:{server.port}"}


def test_the_documented_command_finds_the_database_and_sets_the_password(server: Postgres, tmp_path: Path) -> None:
    variables = settings(server, tmp_path)
    program = FOLDER / "grafana" / "grafana.py"
    assert DOCUMENTED in (ROOT / "docs" / "platform.md").read_text(encoding="utf-8")

    def run(*arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            input=stdin,
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stored() -> str:
        return server.psql(sql='SELECT login, salt, password FROM "user"', database="grafana")

    run("-c", f"import runpy; runpy.run_path({str(program)!r})['prepare']()")
    before = stored()
    output = run(str(program), *DOCUMENTED.split()[1:], stdin="second-password\n")
    assert "changed successfully" in output
    after = stored()
    assert before.startswith("admin")
    assert after.startswith("admin")
    assert after != before
