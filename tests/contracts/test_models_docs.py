"""docs/models.md: its ranges are those of the search, and its example of a classifier trains."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from sklearn.ensemble import RandomForestClassifier
from support.paths import ROOT

from training.config import MODEL_TYPES
from training.estimators import KINDS
from training.own_estimator import load

PAGE = (ROOT / "docs" / "models.md").read_text("utf-8")


def rows() -> list[str]:
    """The rows that the table of ranges must have."""
    return [
        f"| `{name}` | `{parameter}` | {kind.defaults[parameter]:g} | {part.low:g} to {part.high:g} | "
        f"{'whole numbers' if part.integer else 'numbers'}{', by ratio' if part.log else ''} |"
        for name, kind in KINDS.items()
        for parameter, part in kind.space.items()
    ]


def test_the_ranges_are_those_of_the_search() -> None:
    section = PAGE.split("## Searching hyper-parameters\n", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^\| `.*\|$", section, flags=re.MULTILINE) == rows()


def test_each_model_has_its_coding() -> None:
    for name in MODEL_TYPES:
        default = " (default)" if name == "logistic_regression" else ""
        assert f"| `{name}`{default} | {KINDS[name].encoding.replace('_', '-')} |" in PAGE


def test_the_example_of_a_classifier_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.chdir(tmp_path)
    estimator = load("mine:forest", 1)
    monkeypatch.delitem(sys.modules, "mine")
    assert isinstance(estimator.make(4), RandomForestClassifier)
    assert estimator.make(4).random_state == 4
