"""Rules as they are in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.programs import program
from support.tools import newest_alertmanager

RULES = Path(__file__).parents[2] / "infra" / "rules"


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool", "prometheus")


@pytest.fixture(scope="session")
def amtool() -> str:
    """Of the newest Alertmanager: Debian's does not know files for the addresses of webhooks."""
    return str(newest_alertmanager("amtool"))


@pytest.fixture(scope="session")
def alerts() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every alert by its name: the stem of the file it is in, and the rule."""
    found = {}
    for path in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in (rule for rule in group["rules"] if "alert" in rule):
                assert rule["alert"] not in found, f"{rule['alert']} is there twice"
                found[rule["alert"]] = (path.stem, rule)
    return found
