"""Rates of groups against a count by hand, and the gate: refuses, passes, and says when it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.bundles import Trained, fit_contract
from support.contracts import small_bank, small_bank_customers

from app.compatibility import compare
from app.contract import Contract, Fairness
from training import fairness, fairness_gate, fairness_report, report
from training.config import GateLimits
from training.contract_file import ContractError, parse
from training.contract_writer import yaml_text
from training.evaluate import evaluate
from training.fairness import Group
from training.judge import judge
from training.proportions import Proportion

LIMITS = GateLimits()


def with_fairness(**keys: Any) -> Contract:
    """The small bank with limits for the slice geography."""
    return Contract.model_validate(small_bank().model_dump() | {"fairness": {"slices": ("geography",)} | keys})


def group(value: str, *, size: int, selection: float, fpr: float = 0.1, fnr: float = 0.5) -> Group:
    """A group of ``size`` customers, of whom half churned."""
    rates = {
        fairness.SELECTION: Proportion(value=selection, rows=size, size=size),
        fairness.FALSE_POSITIVE: Proportion(value=fpr, rows=size // 2, size=size / 2),
        fairness.FALSE_NEGATIVE: Proportion(value=fnr, rows=size // 2, size=size / 2),
    }
    return Group(feature="geography", value=value, rows=size, rates=rates)


@pytest.fixture
def groups() -> list[Group]:
    """Ten customers by hand: three from France, five from Germany of whom two are one customer, and two from Spain."""
    countries = ["France"] * 3 + ["Germany"] * 5 + ["Spain"] * 2
    churned = np.array([1, 0, 0, 1, 1, 0, 0, 1, 0, 0], dtype=np.int8)
    scores = np.array([0.9, 0.6, 0.1, 0.9, 0.2, 0.5, 0.4, 0.3, 0.1, 0.1])
    customers = pd.DataFrame({"geography": pd.Categorical(countries), "active_member": 1.0, "age": 40.0})
    return fairness.evaluate_groups(
        small_bank(), customers, churned, scores, 0.5, np.array([0, 1, 2, 3, 4, 5, 6, 6, 7, 8])
    )


def test_the_rates_are_those_of_a_count_by_hand(groups: list[Group]) -> None:
    france, germany, spain = fairness.of_slice(groups, "geography")
    assert {name: rate.value for name, rate in france.rates.items()} == {
        "selection_rate": pytest.approx(2 / 3),
        "false_positive_rate": pytest.approx(1 / 2),
        "false_negative_rate": 0,
        "precision": pytest.approx(1 / 2),
    }
    assert {name: (round(rate.value * rate.rows), rate.rows) for name, rate in germany.rates.items()} == {
        "selection_rate": (2, 5),
        "false_positive_rate": (1, 2),
        "false_negative_rate": (2, 3),
        "precision": (1, 2),
    }
    # Nobody from Spain churned or got an offer: those rates are shares of nobody.
    assert {name: rate.value for name, rate in spain.rates.items()} == {"selection_rate": 0, "false_positive_rate": 0}
    assert germany.rates["selection_rate"].size <= 5
    opportunity = germany.rate(fairness.TRUE_POSITIVE)
    assert opportunity
    assert opportunity.value == pytest.approx(1 / 3)


def test_the_metrics_have_names_by_group_with_both_ends(groups: list[Group]) -> None:
    flat = fairness_report.metrics(groups)
    low, value, high = (flat[f"slice_selection_rate/geography.germany{end}"] for end in ("_low", "", "_high"))
    assert value == pytest.approx(0.4)
    assert low < value < high
    assert "slice_false_negative_rate/geography.france" in flat
    assert "slice_precision/geography.spain" not in flat


def test_groups_are_compared_in_pairs_and_the_furthest_come_first() -> None:
    three = [group(v, size=2000, selection=s) for v, s in (("a", 0.3), ("b", 0.1), ("c", 0.2))]
    pairs = fairness.comparisons(three, fairness.PARITY, size_min=30)
    assert [(p.below.value, p.above.value, round(p.value, 3)) for p in pairs] == [
        ("b", "a", 0.333),
        ("b", "c", 0.5),
        ("c", "a", 0.667),
    ]
    alone = fairness.comparisons(three[:2], fairness.PARITY, size_min=30)[0].interval
    assert pairs[0].interval[0] < alone[0] < alone[1] < pairs[0].interval[1], "three pairs need wider intervals"


def test_equalized_odds_looks_at_both_rates() -> None:
    one = group("a", size=4000, selection=0.2, fpr=0.10, fnr=0.5)
    other = group("b", size=4000, selection=0.2, fpr=0.35, fnr=0.52)
    worst = fairness.comparisons([one, other], fairness.ODDS, size_min=30)[0]
    assert (worst.rate, worst.below.value, round(worst.value, 3)) == ("false_positive_rate", "a", 0.25)
    worst = fairness.comparisons([one, other], fairness.OPPORTUNITY, size_min=30)[0]
    assert (worst.rate, worst.below.value, round(worst.value, 3)) == ("true_positive_rate", "b", 0.02)


@pytest.mark.parametrize(
    ("size", "selection", "state", "words"),
    [
        (5000, 0.10, "exceeded", "surely not respected"),
        (5000, 0.20, "respected", ": ok"),
        (200, 0.14, "undecided", "not enough data to tell"),
        (200, 0.20, "undecided", "not enough data to tell"),
        (25, 0.01, "undecided", "not enough data, no two groups are large enough to compare"),
    ],
)
@pytest.mark.parametrize("undecided", ["pass", "refuse"])
def test_the_gate_refuses_what_is_sure_and_says_what_it_cannot_tell(
    size: int, selection: float, state: str, words: str, undecided: str
) -> None:
    contract = with_fairness(demographic_parity_ratio_min=0.8, undecided=undecided)
    groups = [group("France", size=size, selection=0.2), group("Spain", size=size, selection=selection)]
    (result,) = fairness_gate.gate(contract, groups, LIMITS)
    assert result.name == "fairness"
    assert result.passed == (state == "respected" or (state == "undecided" and undecided == "pass"))
    assert words in result.detail
    assert result.limit == 0.8
    warnings = fairness_gate.warnings(contract, groups, LIMITS)
    assert len(warnings) == (state == "undecided")


@pytest.mark.parametrize(
    ("fpr", "fnr", "passing"),
    [
        (0.1, 0.5, {"equal_opportunity_difference_max", "equalized_odds_difference_max"}),
        (0.1, 0.8, set()),
        (0.6, 0.5, {"equal_opportunity_difference_max"}),
    ],
)
def test_each_difference_has_its_own_limit(fpr: float, fnr: float, passing: set[str]) -> None:
    groups = [group("France", size=4000, selection=0.2), group("Spain", size=4000, selection=0.2, fpr=fpr, fnr=fnr)]
    for key in ("equal_opportunity_difference_max", "equalized_odds_difference_max"):
        (result,) = fairness_gate.gate(with_fairness(**{key: 0.1}), groups, LIMITS)
        assert result.passed == (key in passing), key


def test_a_small_group_is_named_and_not_judged() -> None:
    contract = with_fairness(demographic_parity_ratio_min=0.8)
    large = [group("France", size=5000, selection=0.2), group("Spain", size=5000, selection=0.2)]
    (result,) = fairness_gate.gate(contract, [*large, group("Germany", size=29, selection=0.9)], LIMITS)
    assert result.passed
    assert result.detail.endswith("; too small to judge: Germany")
    (result,) = fairness_gate.gate(contract, [*large, group("Germany", size=30, selection=0.9)], LIMITS)
    assert not result.passed


def test_equal_groups_are_seldom_refused_however_many_there_are() -> None:
    """300 samples of ten groups whose shares are just within the limit: at most 5 % may be refused."""
    rng = np.random.default_rng(5)
    contract = with_fairness(demographic_parity_ratio_min=0.8)
    refused = 0
    for _ in range(300):
        shares = rng.binomial(400, [0.2] * 5 + [0.16] * 5) / 400
        groups = [group(str(at), size=400, selection=float(share)) for at, share in enumerate(shares)]
        refused += not fairness_gate.gate(contract, groups, LIMITS)[0].passed
    assert refused / 300 <= 0.05


def test_without_the_key_there_is_no_gate_and_the_digest_stays() -> None:
    groups = [group("France", size=5000, selection=0.2), group("Spain", size=5000, selection=0.01)]
    assert fairness_gate.gate(small_bank(), groups, LIMITS) == []
    assert fairness_gate.warnings(small_bank(), groups, LIMITS) == []
    assert b"fairness" not in small_bank().canonical


def test_another_limit_breaks_no_client() -> None:
    difference = compare(small_bank(), with_fairness(demographic_parity_ratio_min=0.8))
    assert (difference.verdict, [str(reason) for reason in difference.reasons]) == (
        "compatible",
        ["another rule of fairness"],
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("{slices: [plan]}", "line 1: fairness: it has no limit: add demographic_parity_ratio_min"),
        (
            "{slices: [geography, geography], demographic_parity_ratio_min: 0.8}",
            "line 1: fairness: slices names 'geography' twice",
        ),
        (
            "{slices: [salary], demographic_parity_ratio_min: 0.8}",
            "line 1: fairness: 'salary' is not one of the slices",
        ),
        ("{slices: [], demographic_parity_ratio_min: 0.8}", "fairness.slices"),
        ("{demographic_parity_ratio_min: 0.8}", "line 1: fairness: slices is missing"),
        ("{slices: [geography], demographic_parity_ratio_min: 1.5}", "fairness.demographic_parity_ratio_min"),
        ("{slices: [geography], demographic_parity_min: 0.8}", "did you mean demographic_parity_ratio_min?"),
        ("{slices: [geography], demographic_parity_ratio_min: 0.8, undecided: ask}", "fairness.undecided"),
    ],
)
def test_a_mistake_in_the_key_is_reported_with_its_place(key: str, expected: str) -> None:
    with pytest.raises(ContractError) as error:
        parse(f"fairness: {key}\n" + yaml_text(small_bank()), "bank.yaml")
    assert expected in str(error.value)


def test_a_null_means_no_key() -> None:
    assert parse("fairness: null\n" + yaml_text(small_bank()), "b").canonical == small_bank().canonical


@lru_cache
def trained(folder: Path) -> Trained:
    """A bank whose Germans churn far more often, trained by a contract that limits the consequence."""
    contract = with_fairness(demographic_parity_ratio_min=0.8, equal_opportunity_difference_max=0.15)
    small_bank_customers(12_000, 5).to_csv(folder / "bank.csv", index=False)
    return fit_contract(contract, folder / "bank.csv")


@pytest.fixture
def biased(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.getbasetemp())


def verdicts(it: Trained) -> Mapping[str, tuple[bool, str]]:
    return {r.name: (r.passed, r.detail) for r in judge(it.config, it.data, it.fitted, it.fitted.scores)}


def test_a_model_of_unequal_groups_is_refused_by_this_gate_alone(biased: Trained) -> None:
    results = verdicts(biased)
    assert [name for name, (passed, _) in results.items() if not passed] == ["fairness"]
    _, detail = results["fairness"]
    assert detail.startswith("geography: demographic parity ratio 0.")
    assert "to Germany, 95 % interval" in detail


def test_the_card_shows_the_rates_the_distances_and_the_gate(biased: Trained, tmp_path: Path) -> None:
    fitted, test = biased.fitted, biased.fitted.split.test
    churned, scores = fitted.churned[test], fitted.scores[test]
    contract = biased.data.contract
    rows = fitted.customers.iloc[test]
    groups = fairness.evaluate_groups(contract, rows, churned, scores, biased.config.cost.threshold, fitted.clusters)
    evaluation = report.Evaluation(
        churned=churned,
        scores=scores,
        metrics=evaluate(churned, scores, bootstrap_count=100, seed=1),
        slices=[],
        groups=tuple(groups),
        importances=pd.DataFrame({"mean": [0.1], "deviation": [0.01]}, ["age"]),
        validations=fitted.validations,
    )
    card = tmp_path / "card.md"
    report.write_card(card, biased.config, biased.data, facts=biased.facts, evaluation=evaluation, results=[])
    section = card.read_text("utf-8").partition("## Fairness")[2].partition("\n## ")[0]
    assert "The gate `fairness` judges geography by the contract's limits." in section
    (germany,) = (g for g in groups if g.value == "Germany")
    low, high = germany.rates["selection_rate"].interval()
    assert f"| geography = Germany | {germany.rows:,} | {germany.rates['selection_rate'].value:.1%}" in section
    assert f"({low:.1%} to {high:.1%})" in section
    assert "| geography | 0." in section


def test_the_limits_are_the_fields_of_the_contract() -> None:
    keys = {f"{m}_{'min' if m == fairness.PARITY else 'max'}" for m in fairness.MEASURES}
    assert keys == set(Fairness.model_fields) - {"slices", "undecided"}
