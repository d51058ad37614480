"""``churn contract``: each command once as people use it, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pandas as pd
import pytest
from support.commands import churn
from support.paths import ROOT

from app.schemas import telco
from training import contract_yaml
from training.contract_export import contract_schema
from training.contract_file import read

BANK = str(ROOT / "contracts" / "bank.yaml")
TELCO = str(ROOT / "contracts" / "telco.yaml")
SCHEMA = ROOT / "contracts" / "contract.schema.json"
Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]


def out(monkeypatch: Patch, capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert churn(monkeypatch, "contract", *arguments) == code
    shown = capsys.readouterr()
    return shown.out if code in {0, 3} else shown.out + shown.err


def test_show_has_every_feature(monkeypatch: Patch, capsys: Capture) -> None:
    text = out(monkeypatch, capsys, "show", BANK)
    for expected in ("credit_score", "a whole number from 300 to 900", "EUR/year", "median", "NumOfProducts", "Exited"):
        assert expected in text
    built_in = out(monkeypatch, capsys, "show")
    assert "tenure_months * monthly_charges" in built_in
    assert telco().sha256 in built_in
    assert json.loads(out(monkeypatch, capsys, "show", BANK, "--json"))["name"] == "bank"


def test_check_names_every_mistake(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    assert "bank, 10 features" in out(monkeypatch, capsys, "check", BANK)
    path = tmp_path / "bank.yaml"
    path.write_text(Path(BANK).read_text("utf-8").replace("type: boolean", "type: bool").replace("unit:", "units:"))
    text = out(monkeypatch, capsys, "check", str(path), code=2)
    assert text.count("units: unknown key; did you mean unit?") == 4
    assert text.count('"bool" is not allowed') == 2
    out(monkeypatch, capsys, "check", str(path), "--json", code=2)
    churn(monkeypatch, "contract", "check", str(path), "--json")
    problems = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert len(problems) == 6
    assert all(problem["line"] > 1 for problem in problems)


def test_check_reads_customers_by_the_contract(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    data = str(tmp_path / "bank.csv")
    assert churn(monkeypatch, "data", "generate", "--contract", BANK, "--rows", "50", "--out", data) == 0
    assert "of bank to" in capsys.readouterr().out
    assert "fits it: 50 rows" in out(monkeypatch, capsys, "check", BANK, data)
    Path(data).write_text(Path(data).read_text().replace("France", "Atlantis"))
    assert "Atlantis" in out(monkeypatch, capsys, "check", BANK, data, code=2)


def test_options_of_telco_are_not_for_other_customers(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    options = ("--contract", BANK, "--rows", "50", "--out", str(tmp_path / "a.csv"), "--prior-shift", "1")
    assert churn(monkeypatch, "data", "generate", *options) == 2
    assert "for Telco alone" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "a.csv").exists()


def test_show_has_the_limits_of_fairness_and_editors_know_the_key(
    monkeypatch: Patch, capsys: Capture, tmp_path: Path
) -> None:
    limits = "{slices: [country], demographic_parity_ratio_min: 0.8, equal_opportunity_difference_max: 0.1}"
    file = tmp_path / "fair.yaml"
    file.write_text(f"{Path(BANK).read_text('utf-8')}\nfairness: {limits}\n", encoding="utf-8")
    text = " ".join(out(monkeypatch, capsys, "show", str(file)).split())
    assert "Fairness country: demographic_parity_ratio_min 0.8, equal_opportunity_difference_max 0.1;" in text
    assert "Fairness" not in out(monkeypatch, capsys, "show", BANK)
    assert out(monkeypatch, capsys, "diff", BANK, str(file)) == "compatible\n  is fine: another rule of fairness\n"
    document = contract_yaml.parse(file.read_text("utf-8")).value
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_bytes()))
    assert validator.is_valid(document)
    assert not validator.is_valid(document | {"fairness": document["fairness"] | {"undecided": "ask"}})


def test_diff_says_why_and_exits_by_it(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    assert out(monkeypatch, capsys, "diff", BANK, BANK) == "same\n"
    wider = tmp_path / "wider.yaml"
    wider.write_text(Path(BANK).read_text("utf-8").replace("maximum: 900", "maximum: 950"))
    assert out(monkeypatch, capsys, "diff", BANK, str(wider)) == (
        "compatible\n  is fine: credit_score: maximum 950, not 900\n"
    )
    assert out(monkeypatch, capsys, "diff", str(wider), BANK, code=3) == (
        "breaking\n  breaks: credit_score: maximum 900, not 950\n"
    )
    assert json.loads(out(monkeypatch, capsys, "diff", str(wider), BANK, "--json", code=3)) == {
        "verdict": "breaking",
        "reasons": [{"column": "credit_score", "difference": "maximum 900, not 950", "breaking": True}],
    }


def test_the_schema_for_editors_is_current() -> None:
    assert SCHEMA.read_text("utf-8") == contract_schema(), (
        "write it again: churn contract schema -o contracts/contract.schema.json --force"
    )


def test_the_schema_accepts_what_is_shipped_and_refuses_mistakes() -> None:
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_bytes()))
    for path in (BANK, TELCO):
        text = Path(path).read_text("utf-8")
        assert text.startswith("# yaml-language-server: $schema=contract.schema.json\n")
        document = contract_yaml.parse(text).value
        assert validator.is_valid(document)
        assert not validator.is_valid(document | {"slice": []})
        assert not validator.is_valid(document | {"features": [document["features"][0] | {"type": "float"}]})


def test_schema_and_export_write_what_they_print(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    assert out(monkeypatch, capsys, "schema") == contract_schema()
    canonical = out(monkeypatch, capsys, "export", TELCO, "--to", "canonical")
    assert canonical.encode() == (ROOT / "app" / "telco.json").read_bytes()
    target = tmp_path / "bank.json"
    out(monkeypatch, capsys, "export", BANK, "--to", "jsonschema", "-o", str(target))
    customer = jsonschema_rs.validator_for(json.loads(target.read_bytes()))
    example = read(Path(BANK)).customer
    assert customer.is_valid(example)
    assert not customer.is_valid(example | {"age": 200})
    assert "exists already" in out(monkeypatch, capsys, "export", BANK, "--to", "odcs", "-o", str(target), code=2)
    out(monkeypatch, capsys, "export", BANK, "--to", "odcs", "-o", str(target), "--force")
    taken_over = tmp_path / "again.yaml"
    out(monkeypatch, capsys, "import", str(target), "-o", str(taken_over))
    assert read(taken_over) == read(Path(BANK))


def test_infer_proposes_a_contract_that_passes_its_own_check(
    monkeypatch: Patch, capsys: Capture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert churn(monkeypatch, "data", "generate", "--contract", BANK, "--rows", "400", "--out", "bank.csv") == 0
    capsys.readouterr()
    printed = out(monkeypatch, capsys, "infer", "bank.csv")
    assert "Wrote bank.yaml: 10 features" in out(monkeypatch, capsys, "infer", "bank.csv", "-o", "bank.yaml")
    assert Path("bank.yaml").read_text("utf-8") == printed
    assert "fits it: 400 rows" in out(monkeypatch, capsys, "check", "bank.yaml", "bank.csv")
    assert json.loads(out(monkeypatch, capsys, "infer", "bank.csv", "--json"))["yaml"] == printed
    assert "exists already" in out(monkeypatch, capsys, "infer", "bank.csv", "-o", "bank.yaml", code=2)
    options = ("--delimiter", ",", "--thousands", "")
    assert "reading:\n  delimiter: ','\n  thousands: ''\n" in out(monkeypatch, capsys, "infer", "bank.csv", *options)


def test_infer_checks_where_it_writes_before_it_reads(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("mine")
    assert "mine.yaml: it exists already" in out(monkeypatch, capsys, "infer", "none.csv", "-o", "mine.yaml", code=2)
    assert "is a file, not a folder" in out(
        monkeypatch, capsys, "infer", "none.csv", "-o", "mine.yaml/a.yaml", "--force", code=2
    )
    assert "no such file" in out(monkeypatch, capsys, "infer", "none.csv", "-o", "mine.yaml", "--force", code=2)
    assert Path("mine.yaml").read_text() == "mine"


def test_infer_reads_another_sheet_and_tabs_by_its_options(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert churn(monkeypatch, "data", "generate", "--contract", BANK, "--rows", "400", "--out", "bank.csv") == 0
    capsys.readouterr()
    customers = pd.read_csv("bank.csv")
    with pd.ExcelWriter("bank.xlsx") as book:
        pd.DataFrame({"note": ["nothing"]}).to_excel(book, sheet_name="Notes", index=False)
        customers.to_excel(book, sheet_name="May", index=False)
    customers.to_csv("bank.tsv", sep="\t", index=False)
    sheet = out(monkeypatch, capsys, "infer", "bank.xlsx", "--sheet", "May", "--json")
    tabs = out(monkeypatch, capsys, "infer", "bank.tsv", "--delimiter", "tab", "--json")
    for shown, expected in [(sheet, "reading:\n  sheet: May\n"), (tabs, 'reading:\n  delimiter: "\\t"\n')]:
        result = json.loads(shown)
        assert result["features"] == list(read(Path(BANK)).names)
        assert expected in result["yaml"]
