import numpy as np

from benchmarks.load import Outcome
from benchmarks.throttled import HEADER, Run, shares, text

CACHE = 'churn_prediction_cache_total{{outcome="{}"}}'


def test_shares_come_from_what_the_counters_gained() -> None:
    before = {CACHE.format("hit"): 100.0, CACHE.format("miss"): 50.0, "churn_rate_limit_alone_total": 10.0}
    gained = {CACHE.format("hit"): 60.0, CACHE.format("off"): 40.0, "churn_rate_limit_alone_total": 20.0}
    after = {name: before.get(name, 0) + gained.get(name, 0) for name in before | gained}
    assert shares(before, after, 200) == {"hits": 0.6, "cache_off": 0.4, "no_limit": 0, "alone": 0.1}


def test_an_older_revision_had_no_limit_where_redis_was_off() -> None:
    after = {'churn_rate_limit_total{outcome="off"}': 30.0}
    assert shares({}, after, 40) == {"hits": 0, "cache_off": 0, "no_limit": 0.75, "alone": 0}


def test_the_section_has_a_row_for_each_revision() -> None:
    outcome = Outcome(
        sent_s=np.arange(4.0),
        status=np.array([200, 200, 200, 429]),
        latency_ms=np.array([1.0, 2, 3, 4]),
        generator_busy=0,
    )
    run = Run(name="now", rate=700, hits=0.5, cache_off=0.25, no_limit=0, alone=0.25, stopped=1, outcome=outcome)
    lines = text([run, run]).splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("|")][:1] == [HEADER[0]]
    assert sum(line.startswith("|   700 | now") for line in lines) == 2
    assert "50.0%" in lines[-1]
    assert lines[-1].rstrip("| ").endswith("1")
