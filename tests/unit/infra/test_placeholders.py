"""Values for documentation are found in a stack's settings, and refused before anything is made."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from support.recorder import config, settings

from infra.config import ConfigError, Settings
from infra.config_loader import parse
from infra.placeholders import placeholders
from ops.stack.recording import record

OWN = {"203.0.113.0/24": "198.18.0.0/24", "example.com": "churn.test"}


def with_own_values(stack: str, **sections: dict[str, Any]) -> Settings:
    def own(value: Any) -> Any:
        match value:
            case dict():
                return {key: own(inner) for key, inner in value.items()}
            case list():
                return [own(inner) for inner in value]
            case str():
                for reserved, text in OWN.items():
                    value = value.replace(reserved, text)
        return value

    values = {key.removeprefix("churn:"): own(value) for key, value in config(stack).items()}
    return parse(stack, {key: value | sections.get(key, {}) for key, value in values.items()})


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_every_value_that_the_files_leave_open_is_named(stack: str) -> None:
    keys = {line.split(" ")[0] for line in placeholders(settings(stack))}
    assert keys >= {
        "churn:eks.public_cidrs",
        "churn:budget.emails",
        "churn:ingress.domain",
        "churn:alertmanager.email_to",
        "churn:alertmanager.smtp_host",
    }
    assert placeholders(with_own_values(stack)) == []


def test_a_local_stack_works_with_them() -> None:
    assert placeholders(settings("dev")) == []


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("eks", {"public_cidrs": ["198.51.100.128/25"]}),
        ("eks", {"public_cidrs": ["192.0.2.7/32", "198.18.0.0/24"]}),
        ("ingress", {"domain": "churn.example.org"}),
        ("budget", {"emails": ["ops@EXAMPLE.NET"]}),
        ("images", {"registry": "registry.example/churn"}),
        ("api", {"cors_origins": ["https://shop.example.com:8443"]}),
    ],
)
def test_each_reserved_name_and_network_is_found(section: str, value: dict[str, Any]) -> None:
    (line,) = placeholders(with_own_values("staging", **{section: value}))
    assert line.startswith(f"churn:{section}.")
    assert "Pulumi.staging.yaml" in line


@pytest.mark.parametrize("domain", ["churn.myexample.com", "example.churn.io", "example-com.io", "counterexample.net"])
def test_a_name_that_only_resembles_one_is_taken(domain: str) -> None:
    assert placeholders(with_own_values("staging", ingress={"domain": domain})) == []


def test_the_program_refuses_them_before_it_makes_anything() -> None:
    def program() -> None:
        runpy.run_module("infra.__main__")

    with pytest.raises(ConfigError, match=r"churn:eks\.public_cidrs is '203\.0\.113\.0/24'"):
        record("staging", program, config("staging"))
