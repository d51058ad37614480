"""Grafana's settings are real: each variable names a setting that Grafana has, with a value of its kind.

Grafana silently ignores a variable that names no setting, so a misspelled one would leave the default. No program of
Grafana reads them here; the names are those of its defaults (`tests/recorded/grafana-settings.yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from support.recorder import STACKS, manifest

KNOWN: Final = Path(__file__).parents[1] / "recorded" / "grafana-settings.yaml"
FILE: Final = re.compile(r"\$__file\{(.*)\}")
"""A value that Grafana replaces with a file's content."""
Kind = str | list[str]
PATTERNS: Final[dict[str, str]] = {
    "text": r".*",
    "path": r"/.+",
    "url": r"https?://\S+",
    "number": r"\d+",
    "duration": r"\d+[smhd]",
    "flag": r"true|false",
}


@cache
def known() -> dict[str, Kind]:
    """The kind of each setting by its variable, which Grafana derives from section and key."""
    sections: dict[str, dict[str, Kind]] = yaml.safe_load(KNOWN.read_text(encoding="utf-8"))
    return {variable(section, key): kind for section, keys in sections.items() for key, kind in keys.items()}


def variable(section: str, key: str) -> str:
    return "GF_" + re.sub(r"[.-]", "_", f"{section}_{key}").upper()


def faults(variables: Mapping[str, str]) -> list[str]:
    """Variables that Grafana would ignore or not understand."""
    problems = []
    for name, value in variables.items():
        kind = known().get(name)
        if kind is None:
            problems.append(f"{name}: Grafana has no such setting")
        elif file := FILE.fullmatch(value):
            problems += [] if file[1].startswith("/") else [f"{name}: {value!r} is not a path"]
        elif not (value in kind if isinstance(kind, list) else re.fullmatch(PATTERNS[kind], value)):
            problems.append(f"{name}: {value!r} is not {kind}")
    return problems


def container_settings(stack: str) -> dict[str, str]:
    (container,) = manifest(stack, "Deployment", "grafana")["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"]}


@pytest.mark.parametrize("stack", STACKS)
def test_every_setting_is_known_to_grafana(stack: str) -> None:
    assert faults(container_settings(stack)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"GF_DATABASE_SSLMODE": "require"}, "no such setting"),
        ({"GF_DATABASE_SSL_MODE": "required"}, "is not ['disable'"),
        ({"GF_DATABASE_MAX_OPEN_CONN": "few"}, "is not number"),
        ({"GF_DATABASE_PASSWORD": "$__file{password}"}, "is not a path"),
        ({"GF_DATABASE_PASSWORD__FILE": "/password"}, "no such setting"),
        ({"GF_AUTH_ANONYMOUS_ENABLED": "no"}, "is not flag"),
    ],
)
def test_a_wrong_setting_is_found(change: dict[str, str], message: str) -> None:
    (fault,) = faults({**container_settings("prod"), **change})
    assert message in fault


def test_several_replicas_share_one_database() -> None:
    settings: dict[str, Any] = container_settings("prod")
    assert manifest("prod", "Deployment", "grafana")["spec"]["replicas"] > 1
    assert settings["GF_DATABASE_TYPE"] == "postgres", "a database file would be a different one in each pod"
    # By default it locks the tables while it changes them, and coordinates through the database.
    assert not {"GF_DATABASE_MIGRATION_LOCKING", "GF_DATABASE_HIGH_AVAILABILITY"} & settings.keys()
