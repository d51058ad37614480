"""The stacks' files keep to Pulumi's own style, so that its commands rewrite none of their lines.

`tests/engine/test_settings_files.py` shows that with Pulumi itself; this needs no engine.
"""

from __future__ import annotations

import re

import pytest
import yaml
from support.paths import ROOT

from ops.stack.checkout import stack_files


def foreign(text: str) -> list[str]:
    """The lines that Pulumi would write differently: spaces inside braces, other indentation, folded or empty lines."""
    wrong = [line for line in text.splitlines() if re.search(r"\{ | \}|\[ | \]|\t|\s$|^$|^( {2})* \S", line)]
    folded = [line for line in text.splitlines() if line.count("{") != line.count("}")]
    return wrong + folded


def test_every_stack_file_is_in_pulumis_style() -> None:
    texts = {file.name: file.read_text() for file in stack_files(ROOT)}
    assert len(texts) == 3
    assert {name: foreign(text) for name, text in texts.items()} == {name: [] for name in texts}
    assert all(text.endswith("\n") and yaml.safe_load(text).keys() == {"config"} for text in texts.values())


@pytest.mark.parametrize(
    "line", ["a: { b: 1 }", "a: {b: 1 }", "a: [ 1]", "a:\n   b: 1", "a: 1 ", "a: 1\n\nb: 2", "a: {b: 1,\n  c: 2}"]
)
def test_another_style_is_noticed(line: str) -> None:
    assert foreign(line)


def test_pulumis_style_is_not_taken_for_another() -> None:
    assert foreign('config:\n  a: {b: 1, c: ["x"]}\n  d:\n    e: ""\n') == []
