"""The stacks' files keep to Pulumi's own style, so that its commands rewrite none of their lines.

`tests/engine/test_settings_files.py` shows that with Pulumi itself; this needs no engine.
"""

from __future__ import annotations

import re

import pytest
import yaml
from support.paths import ROOT

from ops.stack import bootstrap
from ops.stack.checkout import stack_files
from ops.stack.doctor_checks import Level
from ops.stack.doctor_state import state_key


def foreign(text: str) -> list[str]:
    """The lines that Pulumi would write differently: spaces inside braces, other indentation, folded or empty lines."""
    wrong = [line for line in text.splitlines() if re.search(r"\{ | \}|\[ | \]|\t|\s$|^$|^( {2})* \S", line)]
    folded = [line for line in text.splitlines() if line.count("{") != line.count("}")]
    return wrong + folded


def test_every_stack_file_is_in_pulumis_style() -> None:
    texts = {file.name: file.read_text() for file in stack_files(ROOT)}
    assert len(texts) == 3
    assert {name: foreign(text) for name, text in texts.items()} == {name: [] for name in texts}
    assert all(text.endswith("\n") for text in texts.values())
    keys = {name: set(yaml.safe_load(text)) for name, text in texts.items()}
    on_aws = {"config", "secretsprovider"}
    assert keys == {"Pulumi.dev.yaml": {"config"}, "Pulumi.staging.yaml": on_aws, "Pulumi.prod.yaml": on_aws}


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stack_on_aws_names_the_key_of_its_own_that_the_bootstrap_makes(stack: str) -> None:
    """The one line is enough for a checkout to read the state; a data key would be another stack's or a person's."""
    settings = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    region = settings["config"]["churn:account"]["region"]
    assert settings["secretsprovider"] == f"awskms:///{bootstrap.KEY}-{stack}?region={region}"
    assert [finding.level for finding in state_key(stack, ROOT, {})] == [Level.OK]


@pytest.mark.parametrize(
    "line", ["a: { b: 1 }", "a: {b: 1 }", "a: [ 1]", "a:\n   b: 1", "a: 1 ", "a: 1\n\nb: 2", "a: {b: 1,\n  c: 2}"]
)
def test_another_style_is_noticed(line: str) -> None:
    assert foreign(line)


def test_pulumis_style_is_not_taken_for_another() -> None:
    assert foreign('config:\n  a: {b: 1, c: ["x"]}\n  d:\n    e: ""\n') == []
