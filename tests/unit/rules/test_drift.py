"""The drift rules: what they compute, how often they are wrong without drift, and what they see of one.

`psi` and `threshold` are a twin of the recording rules of `infra/rules/api.drift.yaml` in numpy, which the last test
holds against promtool; so thousands of batches take seconds.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from support.programs import program, run
from support.telco import FEATURES, encode

from app.bundle import Bins
from app.metrics import BinCounter
from app.schemas import telco
from infra.rules_files import RULES
from training.export import reference
from training.generate import GeneratorConfig, generate

REFERENCE_ROWS = 10_000
SCORES = "score"
Counts = dict[str, npt.NDArray[np.int64]]


def psi(counts: npt.NDArray[np.int64], shares: npt.NDArray[np.floating], rows: int) -> float:
    """Population stability index with half a customer in each bin."""
    bins = len(shares)
    seen = (counts + 0.5) / (counts.sum() + 0.5 * bins)
    expected = (shares * rows + 0.5) / (rows + 0.5 * bins)
    return float(((seen - expected) * np.log(seen / expected)).sum())


def threshold(n: int, bins: int, rows: int) -> float:
    """Where chance ends: Wilson and Hilferty's point of chi-square, times (1/n + 1/rows); never below 0.1."""
    k = bins - 1
    return float(max(0.1, k * (1 - 2 / (9 * k) + 4.27 * np.sqrt(2 / (9 * k))) ** 3 * (1 / n + 1 / rows)))


def coded(config: GeneratorConfig) -> npt.NDArray[np.float32]:
    customers = generate(config).customers.drop(columns=["churned"])
    rows = customers.astype(object).where(customers.notna(), None).to_dict("records")
    return encode([{str(key): value for key, value in row.items()} for row in rows])


def _scores(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Some smooth score of the features that matter: contract, internet service, tenure."""
    names = [feature.name for feature in FEATURES]
    contract, internet, tenure = (
        features[:, names.index(n)] for n in ("contract", "internet_service", "tenure_months")
    )
    logit = 0.8 - 1.2 * contract + 0.7 * (internet == 1) - 0.03 * tenure
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float64)


@cache
def trained() -> tuple[dict[str, Bins], int]:
    features = coded(GeneratorConfig(rows=REFERENCE_ROWS, seed=7))
    bins = reference(telco(), features, _scores(features))
    return {**bins.features, SCORES: bins.score}, bins.rows


def counted(features: npt.NDArray[np.float32]) -> Counts:
    """Counts as the API has them."""
    bins, _ = trained()
    columns = {feature.name: features[:, i] for i, feature in enumerate(FEATURES)} | {SCORES: _scores(features)}
    counts = {}
    for name, values in columns.items():
        counter = BinCounter(bins[name])
        counter.add_many(values)
        counts[name] = np.array(counter.counts)
    return counts


def drifting(counts: Counts, *, fixed: float | None = None) -> set[str]:
    """Names whose index is above its threshold."""
    bins, rows = trained()
    drifting = set()
    for name, seen in counts.items():
        limit = fixed or threshold(int(seen.sum()), len(seen), rows)
        if psi(seen, np.array(bins[name].proportions), rows) > limit:
            drifting.add(name)
    return drifting


def batches(count: int, n: int, **shift: float) -> list[Counts]:
    features = coded(GeneratorConfig(rows=count * n, seed=99, **shift))
    return [counted(features[i * n : (i + 1) * n]) for i in range(count)]


@pytest.mark.parametrize("n", [100, pytest.param(200, marks=pytest.mark.long(seconds=6))])
def test_at_most_one_in_a_hundred_of_a_thousand_quiet_batches_alarms(n: int) -> None:
    alarms = sum(bool(drifting(counts)) for counts in batches(1000, n))
    assert alarms <= 10


def test_at_most_one_in_a_hundred_larger_quiet_batches_alarms() -> None:
    assert sum(bool(drifting(counts)) for counts in batches(200, 1000)) <= 2


def test_a_fixed_threshold_would_cry_wolf_at_a_hundred_customers() -> None:
    alarms = sum(bool(drifting(counts, fixed=0.1)) for counts in batches(200, 100))
    assert alarms > 60


@pytest.mark.parametrize("n", [300, pytest.param(1000, marks=pytest.mark.long(seconds=6))])
def test_the_documented_shift_is_seen_in_95_of_100_batches(n: int) -> None:
    # Twice the share of customers with fibre: the covariate shift of docs/data.md.
    seen = sum("internet_service" in drifting(counts) for counts in batches(200, n, fibre_share=0.8))
    assert seen >= 190


def _recorded(name: str, labels: str, value: float) -> dict[str, object]:
    return {"expr": f"{name}{labels}", "eval_time": "60m", "exp_samples": [{"labels": "{}", "value": value}]}


def test_the_rules_compute_what_this_file_does(tmp_path: Path) -> None:
    bins, rows = trained()
    series: list[dict[str, str]] = []
    checks = []
    for version, counts in enumerate([*batches(2, 600), *batches(2, 600, fibre_share=0.8)]):
        for name in ("internet_service", "contract", "tenure_months", SCORES):
            shares = np.array(bins[name].proportions)
            for i, (seen, share) in enumerate(zip(counts[name].tolist(), bins[name].proportions, strict=True)):
                labels = f'{{job="api", model="churn", model_version="{version}", feature="{name}", bin="{i}"}}'
                # An hour of 60 steps: the increase over it is the batch.
                series.append({"series": f"churn_feature_bin_total{labels}", "values": f"0+{seen / 60!r}x60"})
                series.append({"series": f"churn_feature_bin_reference_ratio{labels}", "values": f"{share!r}x60"})
            where = f'{{model="churn", model_version="{version}", feature="{name}"}}'
            limit = threshold(int(counts[name].sum()), len(shares), rows)
            for record, value in (("psi:1h", psi(counts[name], shares, rows)), ("psi:threshold1h", limit)):
                # Rounded, since promtool compares exactly.
                expression = f"sum(round(churn:feature_{record}{where} * 1e6))"
                checks.append(_recorded(expression, "", float(np.round(value * 1e6))))
    series.append({"series": 'churn_feature_bin_reference_rows{job="api", model="churn"}', "values": f"{rows}x60"})
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    path = tmp_path / "drift.yaml"
    content = {"rule_files": [str(RULES / "api.drift.yaml")], "evaluation_interval": "1m", "tests": [test]}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    run(program("promtool", "prometheus"), "test", "rules", str(path))
