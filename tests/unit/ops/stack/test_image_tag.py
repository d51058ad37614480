"""One build's images in the files of all stacks, and nothing else changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from support.paths import ROOT
from support.recorder import STACKS

from ops.stack import image_tag

REGISTRY = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/churn"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for stack in STACKS:
        shutil.copy(ROOT / f"Pulumi.{stack}.yaml", tmp_path)
    return tmp_path


def test_registry_and_tag_are_written_and_nothing_else(checkout: Path) -> None:
    assert image_tag.main(["abc123", "--registry", REGISTRY], checkout) == 0
    for stack in STACKS:
        before = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
        after = yaml.safe_load((checkout / f"Pulumi.{stack}.yaml").read_text())["config"]
        assert after["churn:images"] == {**before["churn:images"], "registry": REGISTRY, "tag": "abc123"}
        assert {**after, "churn:images": None} == {**before, "churn:images": None}


def test_spaces_inside_the_braces_are_fine(checkout: Path) -> None:
    """As people write it; Pulumi takes the spaces out."""
    path = checkout / "Pulumi.prod.yaml"
    path.write_text(path.read_text().replace("churn:images: {registry", "churn:images: { registry"))
    assert image_tag.main(["abc123", "--registry", REGISTRY], checkout) == 0
    assert f'churn:images: {{ registry: "{REGISTRY}", tag: "abc123"' in path.read_text()


@pytest.mark.parametrize(
    ("tag", "registry", "message"),
    [
        ("latest", REGISTRY, "is not the tag"),
        ("a b", REGISTRY, "is not the tag"),
        ("1", "https://x", "is not a registry"),
    ],
)
def test_a_malformed_tag_or_registry_is_refused(
    checkout: Path, capsys: pytest.CaptureFixture[str], tag: str, registry: str, message: str
) -> None:
    assert image_tag.main([tag, "--registry", registry], checkout) == 2
    assert message in capsys.readouterr().err


def test_a_file_without_the_line_is_named_and_nothing_is_written(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "Pulumi.staging.yaml").write_text("config: {}\n")
    assert image_tag.main(["1", "--registry", REGISTRY], checkout) == 2
    assert "Pulumi.staging.yaml" in capsys.readouterr().err
    assert (checkout / "Pulumi.dev.yaml").read_text() == (ROOT / "Pulumi.dev.yaml").read_text()
