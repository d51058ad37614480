from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import document, report
from benchmarks.contender import API, ASGI, CONSTANT, ROOT, Contender, Route
from benchmarks.groups.batch import Batch
from benchmarks.groups.batch import Row as BatchRow
from benchmarks.groups.overload import Overload
from benchmarks.groups.single import Row, Single, Steady
from benchmarks.groups.start import LOCAL, REGISTRY, Start
from benchmarks.groups.start import Row as StartRow
from benchmarks.machine import Machine, cpu_model
from benchmarks.plan import FULL
from benchmarks.results import Results
from benchmarks.targets import checks

RATES = {API: 5000.0, "mlflow models serve": 100.0, "BentoML": 120.0, "LitServe": 150.0, CONSTANT: 6000.0, ASGI: 2e4}


def single(rates: dict[str, float] = RATES, **steady: Any) -> Single:
    figures: dict[str, Any] = {"seconds": 60, "sent": 24_000, "failures": 0, "p50_ms": 1, "p95_ms": 2, "p99_ms": 3}
    return Single(
        rows=[Row(name=name, rates=[rate / 2, rate, rate * 3]) for name, rate in rates.items()],
        steady=Steady(**figures | steady),
    )


def overload(**changes: Any) -> Overload:
    figures: dict[str, Any] = {
        "capacity": 5000, "offered": 15_000, "sent": 9000, "accepted": 4000, "seconds": 30,
        "statuses": {200: 10, 503: 20}, "accepted_p95_ms": 100, "generator_busy": 0.5,
        "recovery_seconds": 1, "recovery_p95_ms": 2,
    }  # fmt: skip
    return Overload(**figures | changes)


def results(**groups: Any) -> Results:
    machine = Machine(cpu="C", cores=2, memory_gib=24, kernel="K", system="S", python="P", date="D")
    return Results(machine=machine, plan=FULL, quick=False, seconds=600, contenders=[], problems={}, **groups)


def verdicts(measured: Results) -> list[bool | None]:
    return [check.passed for check in checks(measured)]


def test_medians_that_meet_every_target_pass() -> None:
    assert verdicts(results(single=single(), overload=overload())) == [True] * 9


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"mlflow models serve": 130.0}),
        (1, {"LitServe": 201.0}),
        (1, {"BentoML": 201.0}),
        (2, {CONSTANT: 7200.0}),
    ],
)
def test_a_faster_peer_fails_exactly_its_own_target(place: int, change: dict[str, float]) -> None:
    passed = verdicts(results(single=single({**RATES, **change})))
    assert [i for i, verdict in enumerate(passed) if not verdict] == [place]


def test_a_peer_that_was_not_measured_gives_no_verdict() -> None:
    rates = {name: rate for name, rate in RATES.items() if name != "mlflow models serve"}
    assert verdicts(results(single=single(rates)))[0] is None


def test_peers_that_batch_requests_are_shown_without_a_verdict() -> None:
    outcome = checks(results(single=single({**RATES, "LitServe, batching requests": 500.0})))
    assert [(c.measured, c.passed) for c in outcome if "no target" in c.promise] == [
        ("10.00 x LitServe, batching requests", None)
    ]
    assert outcome[1].measured == "33.33 x LitServe"


@pytest.mark.parametrize("change", [{"p95_ms": 10.0}, {"failures": 1}])
def test_the_steady_rate_allows_neither_slowness_nor_errors(change: dict[str, Any]) -> None:
    assert False in verdicts(results(single=single(**change)))


@pytest.mark.parametrize(
    "change", [{"statuses": {200: 1, 500: 1}}, {"statuses": {0: 1}}, {"accepted_p95_ms": 251}, {"recovery_seconds": 6}]
)
def test_overload_allows_no_other_status_no_slowness_and_no_late_recovery(change: dict[str, Any]) -> None:
    assert verdicts(results(overload=overload(**change))).count(False) == 1


def test_batches_and_starts_are_judged_by_rate_latency_time_and_memory() -> None:
    batch = Batch(
        rows=[
            BatchRow(name=API, rows_per_second=[120_000], p95_ms=[9]),
            BatchRow(name="MLServer", rows_per_second=[90_000], p95_ms=[12]),
        ]
    )
    start = Start(
        rows=[
            StartRow(name=LOCAL, seconds=[1.0, 1.2, 9.0], rss_mib=[90], loaded_rss_mib=301),
            StartRow(name=REGISTRY, seconds=[1.5], rss_mib=[90], loaded_rss_mib=95),
        ]
    )
    assert verdicts(results(batch=batch, start=start)) == [True, False, True, True, True, False]


def test_a_table_is_padded_and_figures_are_aligned_right() -> None:
    assert report.table(("a", "b"), [("x", "1,000"), ("yy", "5")]).splitlines() == [
        "| a  |     b |",
        "|----|------:|",
        "| x  | 1,000 |",
        "| yy |     5 |",
    ]


def test_the_document_says_what_was_not_measured_and_names_no_folder_of_the_machine() -> None:
    contender = Contender(
        name="X",
        kind="baseline",
        setup="S",
        single=Route(path="/", body=lambda _: b""),
        command=lambda port: [str(ROOT / ".bench" / "x"), str(port)],
        env=lambda _: {"A": str(ROOT), "PATH": "hidden"},
    )
    text = document.document(replace(results(overload=overload()), contenders=[contender], problems={"X": "no"}), ROOT)
    assert str(ROOT) not in text
    assert str(Path.home()) not in text
    assert "A=. .bench/x 18100" in text
    assert "hidden" not in text
    assert text.count("Not measured in this run.") == 3
    assert "| X      | S     |          | no    |" in text


def test_a_processor_is_named_with_its_family_and_model() -> None:
    cpuinfo = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n"
    assert cpu_model(cpuinfo) == "AMD EPYC (family 25, model 17)"
    assert cpu_model("Hardware\t: BCM\n") == "unknown"
