"""The repository's alerts, and the tools that check rules."""

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
    """`amtool` of the newest Alertmanager, since Debian's cannot read the addresses of webhooks from files."""
    return str(newest_alertmanager("amtool"))


@pytest.fixture(scope="session")
def alerts() -> dict[str, tuple[str, dict[str, Any]]]:
    """By name, every alert: the stem of its file, and the rule."""
    by_name = {}
    for path in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in (rule for rule in group["rules"] if "alert" in rule):
                assert rule["alert"] not in by_name, f"there are two alerts {rule['alert']}"
                by_name[rule["alert"]] = (path.stem, rule)
    return by_name
