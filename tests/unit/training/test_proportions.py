"""Intervals of proportions against published figures, SciPy, and simulated customers with several rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binomtest

from training.proportions import Proportion, difference, proportion, ratio


def share(hits: int, rows: int) -> Proportion:
    return Proportion(value=hits / rows, rows=rows, size=rows)


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (3, 10), (81, 263), (263, 263), (1, 29)])
@pytest.mark.parametrize("level", [0.95, 0.999])
def test_the_interval_is_wilsons(hits: int, rows: int, level: float) -> None:
    expected = binomtest(hits, rows).proportion_ci(level, method="wilson")
    assert share(hits, rows).interval(level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_is_the_one_of_newcombes_paper() -> None:
    # Statistics in Medicine 17, 1998, 857-872, table I: 81 of 263, method 3.
    assert share(81, 263).interval() == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Statistics in Medicine 17, 1998, 873-890, table II, method 10.
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0000)),
    ],
)
def test_the_interval_of_a_difference_is_newcombes(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float]
) -> None:
    assert difference(share(*first), share(*second)) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("first", "second"), [((56, 70), (48, 80)), ((5, 60), (30, 90)), ((70, 70), (1, 80))])
def test_the_ends_of_a_ratio_are_where_the_contrast_is_just_not_zero(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    a, b = share(*first), share(*second)
    (l1, u1), (l2, u2) = a.interval(), b.interval()

    def above(r: float) -> float:
        return a.value - r * b.value - float(np.hypot(a.value - l1, r * (u2 - b.value)))

    def below(r: float) -> float:
        return a.value - r * b.value + float(np.hypot(u1 - a.value, r * (b.value - l2)))

    middle = a.value / b.value
    low, high = ratio(a, b)
    assert low == pytest.approx(brentq(above, 0, middle), rel=1e-9)
    assert high == pytest.approx(brentq(below, middle, 1e4), rel=1e-9)


def test_a_ratio_over_nobody_has_no_upper_end() -> None:
    assert ratio(share(3, 10), share(0, 10))[1] == np.inf
    assert ratio(share(0, 10), share(0, 10)) == (0, np.inf)


def test_copies_of_rows_tell_no_more_than_the_customers() -> None:
    hits = np.arange(100) % 4 == 0
    single = proportion(hits, np.arange(100))
    copied = proportion(np.repeat(hits, 5), np.repeat(np.arange(100), 5))
    assert single
    assert copied
    assert (single.rows, single.size) == (100, 100)
    assert (copied.rows, copied.value) == (500, single.value)
    assert copied.size == pytest.approx(100, rel=0.02)


def test_rows_of_a_customer_that_are_alike_by_chance_count_each() -> None:
    hits = np.random.default_rng(3).random(4000) < 0.3
    independent = proportion(hits, np.repeat(np.arange(1000), 4))
    assert independent
    assert 3500 < independent.size <= 4000


def test_without_variance_customers_count_and_without_rows_there_is_no_share() -> None:
    none = proportion(np.zeros(40, dtype=bool), np.repeat(np.arange(10), 4))
    assert none == Proportion(value=0, rows=40, size=10)
    assert proportion(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)) is None


def test_the_interval_of_customers_with_several_rows_covers_the_truth() -> None:
    """400 samples of 80 customers with 1 to 6 rows, whose own shares differ: Wilson on rows alone covers too little."""
    rng = np.random.default_rng(11)
    covered = naive = 0
    for _ in range(400):
        counts = rng.integers(1, 7, 80)
        customer = np.repeat(np.arange(80), counts)
        hits = rng.random(len(customer)) < rng.beta(0.6, 1.4, 80)[customer]
        estimate = proportion(hits, customer)
        assert estimate
        low, high = estimate.interval()
        covered += low <= 0.3 <= high
        low, high = share(int(hits.sum()), len(hits)).interval()
        naive += low <= 0.3 <= high
    assert 0.92 < covered / 400 < 0.98
    assert naive / 400 < 0.85
