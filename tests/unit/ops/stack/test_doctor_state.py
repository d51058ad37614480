"""`churn doctor` refuses what would encrypt the state of a stack on AWS with another key than its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ops.stack import doctor
from ops.stack.doctor_checks import Level
from ops.stack.doctor_state import state_key

KEY = "awskms:///alias/churn-pulumi-prod?region=eu-central-1"
CONFIG = {"churn:cluster": {"kind": "eks"}, "churn:account": {"region": "eu-central-1"}}


def checkout(folder: Path, **settings: object) -> Path:
    (folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": CONFIG, **settings}))
    return folder


def test_the_line_alone_is_enough(tmp_path: Path) -> None:
    (finding,) = state_key("prod", checkout(tmp_path, secretsprovider=KEY), {"PATH": "/bin"})
    assert (finding.level, finding.text) == (Level.OK, f"Pulumi.prod.yaml names the key {KEY}")


def test_without_the_line_it_says_which_one_to_add(tmp_path: Path) -> None:
    (finding,) = state_key("prod", checkout(tmp_path), {})
    assert finding.level == Level.ERROR
    assert f"secretsprovider: {KEY}" in finding.remedy


@pytest.mark.parametrize("provider", ["passphrase", "default", "gcpkms://x"])
def test_another_provider_is_refused(tmp_path: Path, provider: str) -> None:
    (finding,) = state_key("prod", checkout(tmp_path, secretsprovider=provider), {})
    assert finding.level == Level.ERROR


@pytest.mark.parametrize(
    "variable", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_CLOUD_SECRET_OVERRIDE"]
)
@pytest.mark.parametrize("value", ["", "something"])
def test_a_passphrase_is_refused_even_an_empty_one(tmp_path: Path, variable: str, value: str) -> None:
    (finding,) = state_key("prod", checkout(tmp_path, secretsprovider=KEY), {variable: value})
    assert (finding.level, finding.remedy) == (Level.ERROR, f"run `unset {variable}`")
    assert "something" not in doctor.line(finding)


def test_what_a_passphrase_has_left_behind_is_refused(tmp_path: Path) -> None:
    (finding,) = state_key("prod", checkout(tmp_path, secretsprovider=KEY, encryptionsalt="v1:x"), {})
    assert "encryptionsalt" in finding.text


def test_a_local_stack_may_have_a_passphrase(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": {"churn:cluster": {"kind": "local"}}}))
    assert state_key("dev", tmp_path, {"PULUMI_CONFIG_PASSPHRASE": ""}) == []
