"""Contracts as people write them: read alike as YAML and JSON, and every mistake is reported with its line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.changed_json import changed
from support.paths import ROOT

from app.contract import Contract
from app.schemas import telco
from training import contract_yaml
from training.contract_file import ContractError, parse, read

SMALL = """\
contract: 1
name: shop
features:
  - name: plan
    type: category
    categories: [free, paid]
  - name: spend
    type: number
    minimum: 0
    maximum: 100
example: {plan: free, spend: 12.5}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ContractError) as caught:
        parse(text, "shop.yaml")
    return [str(p) for p in caught.value.problems]


def only(text: str) -> str:
    (problem,) = problems(text)
    return problem


def test_the_built_in_contract_is_the_canonical_form_of_its_source() -> None:
    source = read(ROOT / "contracts" / "telco.yaml")
    assert (ROOT / "app" / "telco.json").read_bytes() == source.canonical + b"\n", (
        "write it again: churn contract export contracts/telco.yaml --to canonical -o app/telco.json --force"
    )


def test_the_canonical_form_is_read_as_the_same_contract() -> None:
    assert read(ROOT / "app" / "telco.json") == telco()


def test_words_that_older_yaml_takes_for_booleans_are_texts() -> None:
    contract = parse(SMALL.replace("[free, paid]", "[No, Yes, on, 12:30]").replace("plan: free", "plan: No"), "f")
    assert contract.features[0].categories == ("No", "Yes", "on", "12:30")


def test_every_mistake_is_reported_at_once_with_its_line() -> None:
    assert problems("""\
contract: 1
name: My Shop
features:
  - name: plan
    type: category
    catgories: [free, paid]
    colour: red
  - name: Spend
    type: number
    minimum: '3'
    maximum: 2
  - name: visits
    type: integer
    minimum: 5
    maximum: 2
  - name: days
    type: number
    minimum: 0
    maximum: 9
    blank: {expression: plan ** 2}
  - name: age
    type: integer
    minimum: 0
    maximum: 120
slices: [plan, nothing]
money_at_risk: revenue
cost: {offer_cst: 1}
example: {plan: free, age: 130, days: 3, colour: 1}
""") == [
        (
            "line 2: name: 'My Shop' is not allowed: a contract's name has lower-case letters, digits and dashes, "
            "begins with a letter, and is at most 63 characters long"
        ),
        "line 6: features[0].catgories: unknown key; did you mean categories?",
        (
            "line 7: features[0].colour: unknown key; known are name, type, description, unit, categories, minimum, "
            "maximum, blank, aliases, spellings"
        ),
        (
            "line 8: features[1].name: 'Spend' is not allowed: a name has lower-case letters, digits and underscores, "
            "begins with a letter, and is at most 63 characters long"
        ),
        'line 10: features[1].minimum: "3" is not a number',
        "line 12: features[2]: minimum 5 is not below maximum 2",
        (
            "line 20: features[3].blank.expression: 'plan ** 2' is not allowed; a formula has features, numbers, + - * "
            "/, min(a, b) and max(a, b)"
        ),
        "line 25: slices[1]: 'nothing' is no feature",
        "line 26: money_at_risk: 'revenue' is no feature that is a number",
        "line 27: cost.offer_cst: unknown key; did you mean offer_cost?",
        "line 28: example.age: age is 130; expected a whole number from 0 to 120",
        "line 28: example.colour: 'colour' is no feature",
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("[free, paid]", "[0012, paid]", "line 6: features[0].categories[0]: 0012 is ambiguous"),
        ("[free, paid]", "[1, paid]", "1 is read as the number 1, and a text is expected: quote it, '1'"),
        ("[free, paid]", "[true, paid]", "true is read as true or false, and a text is expected: quote it, 'true'"),
        ("[free, paid]", "[~, paid]", "~ is read as no value, and a text is expected: quote it, '~'"),
        ("[free, paid]", "[2026-01-01, paid]", "(other programs read it as a date): quote it, '2026-01-01'"),
        ("[free, paid]", "[0x1F, paid]", "0x1F is ambiguous"),
        ("[free, paid]", "[free]", "line 4: features[0]: a category has 2 to 100 categories, not 1"),
        ("maximum: 100", "maximum: 1_000", "line 10: features[1].maximum: 1_000 is ambiguous"),
        ("maximum: 100", "maximum: 1e300", "1e+300: input should be less than or equal to"),
        ("maximum: 100", f"maximum: 1{'0' * 500}", "features[1].maximum"),
        ("maximum: 100", "maximum: .inf", ".inf is ambiguous"),
        ("maximum: 100", "maximum: 100\n    unit: [EUR]", 'line 11: features[1].unit: ["EUR"] is not a text'),
        ("maximum: 100", "maximum: 100\n    blank: mean", '"mean" is not a rule: write {constant: VALUE}'),
        ("maximum: 100", "maximum: 100\n    blank: {constant: [1]}", "[1] is not a text, a number, true or false"),
        ("maximum: 100", "maximum: 100\n    spellings: {12: 1}", "a key must be a text: quote it, '12'"),
        ("maximum: 100", "maximum: 100\n    maximum: 50", "stands twice, in lines 10 and 11: remove one"),
        ("type: number", "type: float", "line 8: features[1].type: \"float\" is not allowed; expected 'category'"),
        ("name: spend", "name: [a, b]", 'line 7: features[1].name: ["a", "b"] is not a text'),
        ("name: spend", "name: plan", "column 'plan' stands for two things"),
        ("name: shop", "name: &here shop", "line 2: anchors and aliases"),
        ("name: shop", "name: *here", "line 2: anchors and aliases"),
        ("name: shop", "name: !!str shop", "line 2: the tag"),
        ("name: shop", "name: 'shop", "not YAML"),
        ("name: shop", "name: shop\n---\nname: a", "not YAML"),
        ("name: shop", "name: shop\nslices: plan", 'line 3: slices: "plan" is not a list: [a, b]'),
        ("name: shop", "name: shop\n<<: {a: 1}", "a key must be a text"),
        ("name: shop", "name: shop\n? [a]\n: 1", "a key must be a text"),
        ("name: shop", 'name: shop\ndescription: "\\ud83d"', "an incomplete character (a lone surrogate): remove it"),
        ("contract: 1\n", "", "line 1: contract is missing"),
        ("contract: 1", "contract: 2", "line 1: contract: 2 is not allowed; expected 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_remedy(before: str, after: str, expected: str) -> None:
    assert before in SMALL
    lines = problems(SMALL.replace(before, after))
    assert expected in lines[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: the file is empty"),
        ("# nothing\n", "line 1: the file is empty"),
        ("3", "line 1: it is not a contract: expected keys such as contract, name and features"),
        ("a,b\n1,2\n", "line 1: it is not a contract: expected keys such as contract, name and features"),
        ("[" * 100_000, "line 1: nested more than 20 deep"),
        ("a: \x01", "line 1: not YAML: special characters are not allowed: remove that character"),
        ("\t- a", "line 1: not YAML: found character '\\t' that cannot start any token"),
    ],
)
def test_what_is_no_contract_is_refused_soon(text: str, expected: str) -> None:
    started = time.monotonic()
    assert only(text) == expected
    assert time.monotonic() - started < 30


def test_a_pair_of_escapes_is_one_character() -> None:
    text = json.dumps(json.loads(telco().canonical) | {"description": "für 😀"})
    assert "\\ud83d" in text
    assert parse(text, "f").description == "für 😀"


def test_a_file_is_named(tmp_path: Path) -> None:
    for name, content, expected in [
        ("missing.yaml", None, "missing.yaml: it cannot be read (No such file or directory)"),
        ("large.yaml", b"#" * (contract_yaml.MAX_BYTES + 1), "large.yaml: it is larger than 512 KiB, the most that a"),
        ("latin.yaml", b"contract: 1\nname: \xe9", "latin.yaml: line 2: the byte 0xe9 is not UTF-8"),
    ]:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ContractError, match="yaml: ") as caught:
            read(tmp_path / name)
        assert expected in str(caught.value)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert read(path) == parse(SMALL, "")


DOCUMENT: dict[str, Any] = json.loads(telco().canonical)
DOCUMENT |= {"features": DOCUMENT["features"][-3:], "slices": ["monthly_charges"]}


@settings(max_examples=60, deadline=None)
@given(document=changed(DOCUMENT, 4), ascii_only=st.booleans())
def test_whatever_is_changed_it_is_a_contract_or_every_problem_has_a_line(
    *, document: dict[str, Any], ascii_only: bool
) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=ascii_only)
    try:
        contract = parse(text, "f")
    except ContractError as error:
        reported = error.problems
    else:
        assert contract == Contract.model_validate_json(text)
        return
    assert all(1 <= p.line <= text.count("\n") + 1 and p.message for p in reported)


def test_an_offer_that_can_never_pay_is_refused() -> None:
    assert only(SMALL + "cost: {offer_cost: 600, retained_share: 0.5}\n") == (
        "line 12: cost: an offer of 600 can never pay: it earns at most retained_share * customer_value = 300; lower "
        "offer_cost or correct the other two"
    )
