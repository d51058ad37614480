"""Another population is distinguished from chance: no report on the generator's own customers, but on wrong units."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from support.telco import FEATURES

from app.bundle import Reference
from app.contract import Features
from app.schemas import telco
from training import export, population_check
from training.population import chunks
from training.population_check import SCORE, Difference, PopulationCheck
from training.truth import GeneratorConfig, Probabilities

COLUMN = {feature.name: position for position, feature in enumerate(FEATURES)}
Change = Callable[[Features], None]


def customers(rows: int, seed: int, **knobs: float) -> tuple[Features, Probabilities]:
    """Coded customers and their true probabilities, in place of a model's scores."""
    (chunk,) = chunks(GeneratorConfig.model_validate({"rows": rows, "seed": seed} | knobs))
    total = chunk.numbers["total_charges"]
    assumed = chunk.numbers["tenure_months"] * chunk.numbers["monthly_charges"]
    columns: Mapping[str, np.ndarray] = {**chunk.codes, **chunk.numbers}
    columns = {**columns, "total_charges": np.where(np.isnan(total), assumed, total)}
    return np.column_stack([columns[f.name] for f in FEATURES]).astype(np.float32), chunk.probability


@pytest.fixture(scope="module")
def reference() -> Reference:
    features, probability = customers(10_000, 1)
    return export.reference(telco(), features, probability[:2000])


def scaled(factor: float, *names: str) -> Change:
    def change(features: Features) -> None:
        for name in names:
            values = features[:, COLUMN[name]] * factor
            features[:, COLUMN[name]] = np.floor(values) if name == "tenure_months" else values

    return change


def differences_of(
    reference: Reference, rows: int, seed: int, change: Change | None = None, **knobs: float
) -> tuple[Difference, ...]:
    features, probability = customers(rows, seed, **knobs)
    if change is not None:
        change(features)
    check = PopulationCheck(telco(), reference)
    for start in range(0, rows, 65_536):
        check.add(features[start : start + 65_536], probability[start : start + 65_536])
    return check.differences()


@pytest.mark.parametrize(("rows", "seeds"), [(1, 20), (100, 200), (1000, 100), (100_000, 4)])
def test_fresh_customers_of_the_same_kind_raise_no_alarm(reference: Reference, rows: int, seeds: int) -> None:
    assert [seed for seed in range(1000, 1000 + seeds) if differences_of(reference, rows, seed)] == []


@pytest.mark.parametrize("rows", [100, 1000, 100_000])
@pytest.mark.parametrize(
    ("factor", "names", "direction"),
    [
        (4.345, ("tenure_months",), "higher"),
        (80, ("monthly_charges", "total_charges"), "higher"),
        (0.001, ("monthly_charges", "total_charges"), "lower"),
    ],
)
def test_wrong_units_are_named_with_their_direction(
    reference: Reference, rows: int, factor: float, names: tuple[str, ...], direction: str
) -> None:
    for seed in range(2000, 2001 if rows > 1000 else 2010):
        differences = {d.name: d for d in differences_of(reference, rows, seed, scaled(factor, *names))}
        assert set(differences) == set(names)
        for difference in differences.values():
            assert f": {direction}: " in difference.words
            assert difference.psi > difference.limit


def test_a_category_is_named_with_both_shares(reference: Reference) -> None:
    differences = {d.name: d for d in differences_of(reference, 5000, 3, fibre_share=0.85)}
    # Every second of 5,000 rows is sampled, so the share is that of a sample.
    words = differences["internet_service"].words
    assert re.search(r"8[4-6]% of the rows are 'Fiber optic', in training 4", words), words


def test_probabilities_of_one_are_reported(reference: Reference) -> None:
    features, probability = customers(1000, 4)
    check = PopulationCheck(telco(), reference)
    check.add(features, np.ones_like(probability))
    (difference,) = check.differences()
    assert difference.name == SCORE
    assert "100% of the rows have a probability above 0.999" in difference.words


def test_a_few_certainties_among_many_are_reported_although_the_index_is_small(reference: Reference) -> None:
    features, probability = customers(20_000, 4)
    certain = probability >= np.quantile(probability, 0.72)
    check = PopulationCheck(telco(), reference)
    check.add(features, np.where(certain, 1.0, probability))
    (difference,) = check.differences()
    assert "have a probability above 0.999" in difference.words


def test_a_sorted_file_is_not_another_population(reference: Reference) -> None:
    """Only some rows of a large batch are sampled; the order of the rows must not matter."""
    features, probability = customers(150_000, 5)
    order = np.argsort(features[:, COLUMN["tenure_months"]], kind="stable")
    check = PopulationCheck(telco(), reference)
    for part in np.split(order, [60_000, 120_000, 149_990]):
        check.add(features[part], probability[part])
    assert check.differences() == ()


def test_rows_not_sampled_count_like_their_neighbours(reference: Reference) -> None:
    features, probability = customers(50_000, 6)
    scaled(80, "monthly_charges")(features)
    assert -(-50_000 // population_check.BATCH_SAMPLE) > 1
    check = PopulationCheck(telco(), reference)
    check.add(features[:49_000], probability[:49_000])
    check.add(features[49_000:], probability[49_000:])
    assert [d.name for d in check.differences()] == ["monthly_charges"]
    assert "100% of the rows are above" in check.differences()[0].words


def test_no_rows_make_no_difference(reference: Reference) -> None:
    assert PopulationCheck(telco(), reference).differences() == ()
