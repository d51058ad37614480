"""docs/contract.md: every key is in it, and its examples, its commands and its table of spellings work."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from support.commands import churn
from support.paths import ROOT

from app.contract import Contract, Cost, Fairness, Key, Label, Reading
from app.customers import customer_model
from app.feature import Feature
from training.contract_file import parse
from training.data import load
from training.violations import DataError

PAGE = (ROOT / "docs" / "contract.md").read_text("utf-8")
SPELLINGS = parse(
    """
contract: 1
name: spellings
key: {name: key}
features:
  - {name: integer, type: integer, minimum: 0, maximum: 99}
  - {name: number, type: number, minimum: 0, maximum: 99}
  - {name: boolean, type: boolean}
  - {name: category, type: category, categories: [Fiber, DSL]}
  - {name: blank, type: number, minimum: 0, maximum: 99, blank: median}
example: {integer: 1, number: 1, boolean: true, category: DSL}
""",
    "spellings",
)
VALID = {"key": "1", "integer": 1, "number": 1.5, "boolean": True, "category": "DSL", "blank": 3}


def table(heading: str) -> list[list[str]]:
    """The cells of the rows of the table under a heading."""
    section = PAGE.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| (.*) \|$", section, flags=re.MULTILINE)
    return [row.split(" | ") for row in rows[1:]]


@pytest.mark.parametrize(
    ("heading", "part"),
    [
        ("## The contract", Contract),
        ("## The key", Key),
        ("## The label", Label),
        ("## A feature", Feature),
        ("## Fairness", Fairness),
        ("## The cost", Cost),
        ("## Reading", Reading),
    ],
)
def test_every_key_is_documented_and_no_other(heading: str, part: type[BaseModel]) -> None:
    assert [cells[0].strip("`") for cells in table(heading)] == list(part.model_fields)


def test_the_defaults_are_those_of_the_code() -> None:
    for heading, part in (("## The cost", Cost()), ("## The key", Key())):
        for name, _, default in table(heading):
            if default.startswith("`"):
                assert str(getattr(part, name.strip("`"))) == default.strip("`") or float(
                    default.strip("`")
                ) == getattr(part, name.strip("`"))


def test_the_examples_are_contracts() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert [parse(text, "docs").name for text in examples] == ["shop"]


def test_the_commands_work_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    section = PAGE.split("\n## Other commands\n", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    commands = [shlex.split(line, comments=True)[1:] for line in section.splitlines()]
    assert {words[1] for words in commands} == {
        "generate", "infer", "check", "show", "diff", "export", "import", "schema",
    }  # fmt: skip
    for words in commands:
        assert churn(monkeypatch, *words) == 0, (words, capsys.readouterr())


def spellings(column: int) -> list[tuple[str, str]]:
    """Each text of a column of the table, with the feature that it is for."""
    cells = [(row[0].partition(",")[0], row[column]) for row in table("## One customer in JSON and in a file")]
    return [
        (name, "" if text == "empty" else text.strip("`"))
        for name, cell in cells
        for text in re.findall(r"`[^`]*`|empty", cell)
    ]


def in_json(name: str, text: str) -> bool:
    try:
        customer_model(SPELLINGS).model_validate_json(json.dumps(VALID | {name: json.loads(text)}))
    except ValidationError:
        return False
    return True


def in_a_file(name: str, text: str, folder: Path) -> bool:
    row = {n: str(v).lower() if isinstance(v, bool) else str(v) for n, v in VALID.items()} | {name: text}
    path = folder / "customers.csv"
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    try:
        load(str(path), SPELLINGS, labelled=False)
    except DataError:
        return False
    return True


@pytest.mark.parametrize(("name", "text"), spellings(1))
def test_what_is_accepted_in_json(name: str, text: str) -> None:
    assert in_json(name, text)


@pytest.mark.parametrize(("name", "text"), spellings(3))
def test_what_is_refused_in_json(name: str, text: str) -> None:
    assert not in_json(name, text)


@pytest.mark.parametrize(("name", "text"), spellings(2))
def test_what_is_accepted_in_a_file(name: str, text: str, tmp_path: Path) -> None:
    assert in_a_file(name, text, tmp_path)


@pytest.mark.parametrize(("name", "text"), spellings(4))
def test_what_is_refused_in_a_file(name: str, text: str, tmp_path: Path) -> None:
    assert not in_a_file(name, text, tmp_path)


def test_the_table_is_read() -> None:
    assert {name for name, _ in spellings(1)} == set(VALID)
    assert len(spellings(2)) > 15
