import base64
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import load
from benchmarks.errors import BenchError
from benchmarks.load import Outcome, attack_options, parse_results, write_targets


def outcome(status: list[int], latency_ms: list[float], sent_s: list[float] | None = None) -> Outcome:
    return Outcome(
        sent_s=np.array(sent_s if sent_s is not None else np.arange(len(status)) / 10),
        status=np.array(status),
        latency_ms=np.array(latency_ms, dtype=float),
        generator_busy=0.1,
    )


def test_results_of_vegeta_are_read_without_their_text_columns(tmp_path: Path) -> None:
    csv = tmp_path / "results.csv"
    csv.write_text(
        "1000000000,200,5000000,0,0,,,,0,POST,http://x\n"
        '1500000000,0,30000000000,0,0,"Post: dial, refused",,,1,POST,http://x\n',
        encoding="utf-8",
    )
    read = parse_results(csv, generator_busy=0.5)
    assert read.sent_s.tolist() == [0, 0.5]
    assert read.status.tolist() == [200, 0]
    assert read.latency_ms.tolist() == [5, 30_000]
    assert read.counts() == {0: 1, 200: 1}


def test_no_results_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(BenchError, match="sent nothing"):
        parse_results(tmp_path / "empty.csv", generator_busy=0)


def test_rate_and_latency_count_only_accepted_requests() -> None:
    measured = outcome([200, 200, 503, 200], [10, 20, 9000, 30], [0, 0.5, 0.6, 0.97])
    assert measured.failures == 1
    assert measured.seconds == pytest.approx(9.6)
    assert measured.rate == pytest.approx(3 / 9.6)
    assert measured.percentile_ms(50) == 20
    assert measured.sent_rate == pytest.approx(3 / 0.97)


def test_nothing_accepted_has_no_finite_latency() -> None:
    assert outcome([503, 0], [1, 2]).p95_ms == float("inf")


def test_targets_hold_url_headers_and_body(tmp_path: Path) -> None:
    path = write_targets(tmp_path / "t" / "targets.json", "http://h/p", {"X-API-Key": "k"}, [b"one", b"two"])
    targets = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [base64.b64decode(t["body"]) for t in targets] == [b"one", b"two"]
    assert {(t["method"], t["url"], t["header"]["X-API-Key"][0]) for t in targets} == {("POST", "http://h/p", "k")}


def test_a_closed_loop_has_rate_zero_and_as_many_workers_as_connections() -> None:
    options = attack_options(Path("t"), Path("r"), rate=0, seconds=4, connections=16)
    assert {"-rate=0", "-workers=16", "-max-workers=16", "-max-connections=16", "-duration=4s"} <= set(options)


def test_without_go_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="install Go"):
        load.ensure_vegeta(tmp_path)
