"""A stranger's own customers: the commands of the README one after another, and the platform with another contract."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.servers import Server, free_port, require_tool

from app.contract import Contract
from training.contract_file import read
from training.contract_rows import RowsConfig, write

pytestmark = [pytest.mark.service, pytest.mark.long(seconds=90, together=__name__)]

CHURN = [sys.executable, "-m", "ops.cli"]
PROGRAMS = {".venv/bin/churn": " ".join(CHURN), "http://127.0.0.1:8000": "$API"}
BANK = ROOT / "contracts" / "bank.yaml"


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"} | more


def demo(home: Path, contract: Path) -> subprocess.CompletedProcess[str]:
    """`churn demo` in a home, as JSON."""
    ports = ["--port", str(free_port()), "--mlflow-port", str(free_port())]
    return subprocess.run(
        [*CHURN, "demo", "--json", "--rows", "2000", "--contract", str(contract), *ports],
        env=environment(home.parent, CHURN_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def bank_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home with the bank's model in production, and the first prediction there."""
    home = tmp_path_factory.mktemp("bank") / "home"
    done = demo(home, BANK)
    assert done.returncode == 0, done.stderr
    return home, json.loads(done.stdout)["prediction"]


def test_the_platform_starts_with_another_contract(bank_home: tuple[Path, dict[str, Any]]) -> None:
    _, prediction = bank_home
    assert prediction["customer_id"] == read(BANK).customer["customer_id"]
    assert 0 < prediction["churn_probability"] < 1
    assert prediction["model_version"] == "1"


def test_a_home_with_another_contract_names_the_remedy(bank_home: tuple[Path, dict[str, Any]]) -> None:
    home, _ = bank_home
    other = ROOT / "contracts" / "telco.yaml"
    done = demo(home, other)
    assert done.returncode == 2
    message = json.loads(done.stdout)["error"]["message"]
    assert f"production in {home} has the contract 'bank' ({read(BANK).sha256[:8]}), not 'telco'" in message
    assert "Set CHURN_HOME to another folder" in message
    assert f"churn train --data FILE --contract {other}" in message
    assert "Registered version" not in done.stderr


def commands() -> list[str]:
    """Each line of the first two shell blocks of the section, with this environment's programs."""
    section = (ROOT / "README.md").read_text("utf-8").split("\n## Your own customers\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[:2]
    lines = "".join(blocks)
    for documented, here in PROGRAMS.items():
        lines = lines.replace(documented, here)
    return lines.splitlines()


class Up(Server):
    """``churn up`` on a home."""

    def __init__(self, folder: Path, home: str) -> None:
        port = free_port()
        command = [*CHURN, "up", "--port", str(port), "--mlflow-port", str(free_port())]
        super().__init__(command, folder, port=port, environment={"CHURN_HOME": home})

    def is_up(self) -> bool:
        return "Press Ctrl-C to stop." in self.output


def shell(folder: Path, *lines: str, **more: str) -> str:
    """Run lines of a shell in a folder; returns what they printed."""
    done = subprocess.run(
        [require_tool("sh"), "-ec", "\n".join(lines)],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_four_commands_of_the_readme(tmp_path: Path) -> None:
    require_tool("curl")
    own, *training, predict = commands()
    assert [line.split("-m ops.cli ")[1].split()[0] for line in training] == ["contract", "train", "promote"]
    write(read(BANK), RowsConfig(rows=2000), str(tmp_path / "customers.csv"))
    shell(tmp_path, own, *training)
    contract: Contract = read(tmp_path / "customers.yaml")
    (tmp_path / "customer.json").write_text(json.dumps(contract.customer))
    with Up(tmp_path, own.removeprefix("export CHURN_HOME=").split()[0]) as up:
        assert "Registered version" not in up.output, "the promoted version serves, and no sample"
        answer = json.loads(shell(tmp_path, own, predict, API=up.url))
    assert answer["customer_id"] == contract.customer["customer_id"]
    assert 0 < answer["churn_probability"] < 1
    assert answer["model_version"] == "1"
