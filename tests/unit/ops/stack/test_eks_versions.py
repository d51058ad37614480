"""A stack's Kubernetes version and add-ons go up together, one version at a time, staging before prod."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.paths import ROOT
from support.recorded_eks import RecordedEks
from support.recorder import config, settings

from infra.aws import addons
from infra.config import ConfigError
from infra.config_loader import parse
from ops.errors import OpsError
from ops.stack.checkout import stack_config
from ops.stack.eks_versions import minor, set_versions

STACKS = ("staging", "prod")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file in ROOT.glob("Pulumi.*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def following(version: str, steps: int = 1) -> str:
    return f"1.{minor(version) + steps}"


NOW = settings("staging").eks.version
NEXT = following(NOW)


def test_version_and_builds_are_written_and_nothing_else(root: Path) -> None:
    before = stack_config("staging", root)
    written = set_versions(RecordedEks(), "staging", NEXT, root)
    after = stack_config("staging", root)
    assert {key for key in before if before[key] != after[key]} == {"churn:eks", "churn:addons"}
    assert after["churn:eks"] == before["churn:eks"] | {"version": NEXT}
    assert set(after["churn:addons"].values()) == set(written.values())
    assert all(build.endswith("-eksbuild.1") for build in written.values())  # the default, not the newest
    parsed = parse("staging", {key.removeprefix("churn:"): value for key, value in after.items()})
    assert set(addons.builds(parsed).items()) <= set(written.items())


@pytest.mark.parametrize(
    ("version", "refusal"),
    [
        (following(NOW, 2), "one minor version at a time"),
        (following(NOW, -1), "never down"),
        ("2.0", "no Kubernetes version"),
    ],
)
def test_a_version_that_eks_would_refuse_is_refused_first(root: Path, version: str, refusal: str) -> None:
    with pytest.raises(OpsError, match=refusal):
        set_versions(RecordedEks(), "staging", version, root)


def test_prod_follows_staging(root: Path) -> None:
    with pytest.raises(OpsError, match=f"staging is at {re.escape(NOW)}: upgrade it first, and let prod follow"):
        set_versions(RecordedEks(), "prod", NEXT, root)
    set_versions(RecordedEks(), "staging", NEXT, root)
    set_versions(RecordedEks(), "prod", NEXT, root)
    assert stack_config("prod", root)["churn:eks"]["version"] == NEXT


def test_an_add_on_without_a_build_changes_nothing(root: Path) -> None:
    before = (root / "Pulumi.staging.yaml").read_text()
    with pytest.raises(OpsError, match=f"EKS has no build of coredns for {re.escape(NEXT)}"):
        set_versions(RecordedEks("coredns"), "staging", NEXT, root)
    assert (root / "Pulumi.staging.yaml").read_text() == before


def test_a_proxy_of_another_version_is_refused() -> None:
    changed = yaml.safe_load(yaml.safe_dump({key.removeprefix("churn:"): v for key, v in config("staging").items()}))
    changed["eks"]["version"] = NEXT
    with pytest.raises(ConfigError, match=r"addons\.kube_proxy is .* take a build of that version"):
        parse("staging", changed)


def behind(ahead: dict[str, str], after: dict[str, str]) -> list[str]:
    """The add-ons of which the stack that should be ahead has the older build."""

    def numbers(build: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", build)]

    return [name for name in ahead.keys() & after.keys() if numbers(ahead[name]) < numbers(after[name])]


def test_staging_is_not_behind_prod() -> None:
    staging, prod = (settings(stack) for stack in STACKS)
    assert minor(staging.eks.version) - minor(prod.eks.version) in {0, 1}
    assert behind(addons.builds(staging), addons.builds(prod)) == []


def test_an_older_build_is_noticed() -> None:
    assert behind({"a": "v1.9.0-eksbuild.2"}, {"a": "v1.10.0-eksbuild.1"}) == ["a"]
    assert behind({"a": "v1.9.0-eksbuild.2"}, {"a": "v1.9.0-eksbuild.10"}) == ["a"]
    assert behind({"a": "v1.9.0-eksbuild.2"}, {"a": "v1.9.0-eksbuild.2"}) == []
