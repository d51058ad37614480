"""An invalid configuration is reported in one go: a line for each wrong key, with its value and the remedy."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support.paths import ROOT
from support.recorder import STACKS, config, settings

from infra.config import ConfigError, Settings
from infra.config_loader import SECRET_KEYS, parse


def sections(stack: str = "dev") -> dict[str, Any]:
    """Return a stack's plain values, for a test to change."""
    return {key.removeprefix("churn:"): value for key, value in config(stack).items()}


def lines_of(values: dict[str, Any], stack: str = "dev") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(stack, values)
    return str(caught.value).splitlines()[1:]


@pytest.mark.parametrize("stack", STACKS)
def test_the_three_stacks_are_valid(stack: str) -> None:
    assert settings(stack).stack == stack


def test_the_three_stacks_have_the_same_keys() -> None:
    def keys(value: Any) -> Any:
        return {key: keys(item) for key, item in value.items()} if isinstance(value, dict) else None

    shapes = [keys(config(stack)) for stack in STACKS]
    assert shapes[0] == shapes[1] == shapes[2]


def test_pulumi_yaml_declares_exactly_the_sections_of_the_settings() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text("utf-8"))
    declared = {
        key.removeprefix("churn:"): value for key, value in project["config"].items() if key.startswith("churn:")
    }
    assert set(declared) - set(SECRET_KEYS) == set(Settings.model_fields) - {"stack"}
    assert {value["type"] for value in declared.values()} == {"object"}


BANK = {"source": "generated", "schedule": "0 2 * * 0"}
CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("api", {"max_replicas": 1}, "churn:api: max_replicas 1 is below min_replicas 2: raise it or lower that"),
    ("api", {"min_replicas": 0}, "churn:api.min_replicas is 0: Input should be greater than or equal to 1"),
    ("api", {"min_replica": 2}, "churn:api.min_replica is not a known key: check its spelling against Pulumi.yaml"),
    ("api", {"models": []}, "churn:api.models is []: '' does not name 1 to 16 different models"),
    ("api", {"models": ["a", "a"]}, "churn:api.models is ['a', 'a']: 'a,a' does not name 1 to 16 different models"),
    ("api", {"models": ["a,b"]}, "churn:api.models is ['a,b']: 'a,b' is no name of a model"),
    ("backup", {"retention_days": 0}, "churn:backup.retention_days is 0: Input should be greater than or equal to 1"),
    ("ingress", {"kind": "traefik"}, "churn:ingress.kind is 'traefik': Input should be 'nginx' or 'none'"),
    ("ingress", {"domain": "Not A Host"}, "churn:ingress.domain is 'Not A Host'"),
    ("images", {"tag": "latest"}, "churn:images.tag is 'latest': write the tag of one build"),
    ("mlflow", {"artifacts_gib": "20Gi"}, "churn:mlflow.artifacts_gib is '20Gi': Input should be a valid integer"),
    ("budget", {"pods_monthly_usd": 301}, "pods_monthly_usd 301 is above monthly_usd 300, of which it is a part"),
    ("training", {"schedule": "daily"}, "churn:training.schedule is 'daily': write five fields"),
    (
        "training",
        {"contract": "nowhere.yaml"},
        "churn:training.contract is 'nowhere.yaml': write the path",
    ),
    ("training", {"contract": "/etc/passwd"}, "write the path of a contract's file in this checkout"),
    ("training", {"models": {"churn": BANK}}, "'churn' is what the section itself trains"),
    (
        "training",
        {"models": {"Bank": BANK}},
        "'Bank' cannot be the name of CronJobs: register the model",
    ),
    ("training", {"models": {"a" * 33: BANK}}, "cannot be the name of CronJobs"),
    ("training", {"models": {"on-drift": BANK}}, "'on-drift' cannot be the name of CronJobs"),
    ("training", {"models": {"a-on-demand": BANK}}, "'a-on-demand' cannot be the name of CronJobs"),
    ("training", {"models": {"bank": BANK}}, "training.models has 'bank', which api.models ['churn'] does not serve"),
    (
        "training",
        {"models": {"bank": {**BANK, "row": 1}}},
        "churn:training.models.bank.row is not a known key: check its spelling against Pulumi.yaml",
    ),
    (
        "training",
        {"models": {"bank": {"source": "generated"}}},
        "churn:training.models.bank.schedule is missing: add it to Pulumi.<stack>.yaml",
    ),
    ("alertmanager", {"slack": True}, "slack is on but slack_channel is empty: name the channel"),
    ("alertmanager", {"email": True}, "email is on but email_to, email_from, smtp_host or smtp_user is empty"),
    ("database", {"kind": "rds"}, "database.kind is 'rds' but cluster.kind is 'local'"),
    ("mlflow", {"replicas": 2}, "mlflow.replicas is 2 but the artifacts are on the volume of one node: use 1"),
]


@pytest.mark.parametrize(("section", "change", "line"), CHANGES, ids=[f"{s}-{next(iter(c))}" for s, c, _ in CHANGES])
def test_one_wrong_value_gives_one_line_that_names_it(section: str, change: dict[str, Any], line: str) -> None:
    values = sections()
    values[section] = {**values[section], **change}
    errors = lines_of(values)
    assert len(errors) == 1
    assert line in errors[0]


def test_a_quantity_that_kubernetes_would_refuse_is_refused_here() -> None:
    values = sections()
    values["api"]["resources"] = {**values["api"]["resources"], "memory_limit": "1 GB"}
    assert lines_of(values) == [
        "  churn:api.resources.memory_limit is '1 GB': write a Kubernetes quantity such as 500m, 2, 512Mi or 1Gi"
    ]


def test_a_missing_key_and_a_missing_section_are_named() -> None:
    values = sections()
    del values["api"]["max_replicas"], values["cache"]
    errors = lines_of(values)
    assert [line.split(":")[1].split(" ")[0] for line in errors] == ["api.max_replicas", "cache"]
    assert all("is missing: add it to Pulumi.<stack>.yaml" in line for line in errors)


def test_an_unknown_section_is_named() -> None:
    assert lines_of({**sections(), "apy": {}}) == [
        "  churn:apy is not a known key: check its spelling against Pulumi.yaml"
    ]


def test_all_errors_are_reported_at_once() -> None:
    values = sections()
    values["backup"]["retention_days"] = 0
    values["ingress"]["kind"] = "traefik"
    del values["cache"]
    assert len(lines_of(values)) == 3
