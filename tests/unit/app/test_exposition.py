"""What Prometheus scrapes: names, labels and sums."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.api import Api, batch_body, body, make_api
from support.bundles import random_customers
from support.telco import FEATURE_NAMES, FEATURES, encode

from app.bundle import Bins
from app.edge import METHODS
from app.metrics import BinCounter, ModelCounters
from app.model import Model, load
from app.paths import UNKNOWN, rules
from app.service import Service
from app.settings import Settings

_RULES = rules(["churn"])

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}


@pytest.mark.long(seconds=12)
async def test_a_hundred_thousand_random_requests_add_no_series(api: Api) -> None:
    # Sent straight into the application, with everything that a stranger can choose: path, method, headers, key, query.
    rng = random.Random(5)  # noqa: S311  # no secret

    def text() -> str:
        return "".join(rng.choices("abcXYZ0189/_-.%{}\"' \n\\é", k=rng.randrange(1, 12)))

    for route in (*_RULES, "/nope"):
        for method in (*METHODS, "TRACE"):
            await api.call(method, route)
            await api.call(method, route, headers=[(b"x-api-key", b"x")])
    before = set(api.samples())
    for _ in range(100_000):
        headers = [(b"x-api-key", text().encode()), (text().encode(), text().encode())]
        headers.append((b"x-request-id", text().encode()))
        path = rng.choice(["/", "/v1/predict/", "/metrics/", "/v1/"]) + text()
        if rng.random() < 0.05:
            path = rng.choice(["/v1/predict", "/v1/model", "/live"])
        await api.call(rng.choice([*METHODS, "PROPFIND", text()]), path, headers=headers, query=text().encode())
    added = {key for key in set(api.samples()) - before if not key[0].startswith(("process_", "python_"))}
    assert added == set()
    requests = [dict(labels) for name, labels in before if name == "churn_http_requests_total"]
    assert {r["route"] for r in requests} <= {rule.route for rule in (*_RULES.values(), UNKNOWN)}
    assert {r["method"] for r in requests} <= {*METHODS, "other"}


async def test_route_method_and_status_are_labels(api: Api) -> None:
    async with api.client() as client:
        await client.post("/v1/predict", content=body(), headers=_JSON)
        await client.post("/v1/predict", content=b"{", headers=_JSON)
        await client.get("/no/such/path")
        await client.request("TRACE", "/live")
    counted = {
        (labels["route"], labels["method"], labels["status"]): value
        for (name, pairs), value in api.samples().items()
        if name == "churn_http_requests_total"
        for labels in [dict(pairs)]
    }
    assert counted == {
        ("/v1/predict", "POST", "200"): 1,
        ("/v1/predict", "POST", "400"): 1,
        ("unknown", "GET", "404"): 1,
        ("/live", "other", "405"): 1,
    }
    assert api.sample("churn_http_request_duration_seconds_count", route="/v1/predict") == 2
    assert api.sample("churn_http_request_duration_seconds_bucket", route="unknown", le="+Inf") == 1


async def test_every_route_has_its_series_before_its_first_request(api: Api) -> None:
    await api.call("GET", "/live")
    for route in {rule.route for rule in (*_RULES.values(), UNKNOWN)}:
        assert api.sample("churn_http_requests_in_flight", route=route) == 0


async def test_predictions_bins_histogram_and_money_add_up(api: Api) -> None:
    rows = random_customers(40, seed=9)
    async with api.client() as client:
        answers = [(await client.post("/v1/predict", json=row)).json() for row in rows[:15]]
        batch = (await client.post("/v1/predict/batch", content=batch_body(rows[15:]), headers=_JSON)).json()
    predictions = answers + batch["predictions"]
    version = api.service.default.current.model.origin.version
    for decision in ("churn", "stay"):
        count = sum(p["decision"] == decision for p in predictions)
        assert count > 0
        assert api.of_model("churn_predictions_total", model_version=version, decision=decision) == count
    for band in ("low", "medium", "high"):
        count = sum(p["risk_band"] == band for p in predictions)
        assert api.of_model("churn_predictions_by_band_total", model_version=version, band=band) == count
    samples = api.samples()
    for name in (*FEATURE_NAMES, "score"):
        bins = [v for (n, ls), v in samples.items() if n == "churn_feature_bin_total" and ("feature", name) in ls]
        shares = [
            v for (n, ls), v in samples.items() if n == "churn_feature_bin_reference_ratio" and ("feature", name) in ls
        ]
        assert sum(bins) == len(rows)
        assert len(bins) == len(shares)
        assert sum(shares) == pytest.approx(1)
    assert api.of_model("churn_prediction_score_count", model_version=version) == len(rows)
    total = sum(p["churn_probability"] for p in predictions)
    assert api.of_model("churn_prediction_score_sum", model_version=version) == pytest.approx(total)
    below = sum(p["churn_probability"] <= 0.5 for p in predictions)
    assert api.of_model("churn_prediction_score_bucket", model_version=version, le="0.5") == below
    high = [r["monthly_charges"] for r, p in zip(rows, predictions, strict=True) if p["risk_band"] == "high"]
    assert high
    assert api.of_model("churn_high_risk_customers_total") == len(high)
    assert api.of_model("churn_monthly_revenue_at_risk_total") == pytest.approx(sum(high))
    scored = sum(r["monthly_charges"] for r in rows)
    assert api.of_model("churn_monthly_revenue_scored_total") == pytest.approx(scored)
    assert (api.of_model("churn_batch_rows_count"), api.of_model("churn_batch_rows_sum")) == (1, 25)


async def test_a_refused_request_counts_as_no_prediction(api: Api) -> None:
    async with api.client() as client:
        await client.post("/v1/predict", content=body(gender="?"), headers=_JSON)
        await client.post("/v1/predict/batch", content=batch_body([]), headers=_JSON)
    assert sum(api.service.default.current.counters.decisions.values()) == 0
    assert api.of_model("churn_monthly_revenue_scored_total") == 0


async def test_a_swap_leaves_no_series_of_the_old_model(api: Api, other_bundle: Path) -> None:
    async with api.client() as client:
        await client.post("/v1/predict", content=body(), headers=_JSON)
        old = api.service.default.current.model.origin.version
        api.service.default.put_into_service(api.service.default.prepare(load(other_bundle)))
        await client.post("/v1/predict", content=body(), headers=_JSON)
    new = api.service.default.current.model.origin.version
    versions = {dict(labels).get("model_version", dict(labels).get("version")) for _, labels in api.samples()}
    assert new in versions
    assert old not in versions
    assert sum(api.service.default.current.counters.decisions.values()) == 1
    assert api.of_model("churn_model_swaps_total") == 2
    # Business figures belong to no version.
    assert api.of_model("churn_monthly_revenue_scored_total") == pytest.approx(2 * 84.85)


@pytest.fixture(scope="module")
def model(bundle: Path) -> Model:
    return load(bundle)


@given(seed=st.integers(0, 10_000), on_edges=st.booleans())
def test_single_requests_and_a_batch_fill_the_same_bins(model: Model, seed: int, *, on_edges: bool) -> None:
    rows = random_customers(20, seed)
    if on_edges:  # an edge is a price that many customers pay
        edges = model.reference.features["monthly_charges"].edges
        assert edges
        for row, edge in zip(rows, edges, strict=False):
            row["monthly_charges"] = round(edge, 2)
    one, many = ModelCounters(model), ModelCounters(model)
    features = encode(rows)
    scores = model.score(features)
    decisions, bands = model.thresholds.decide_all(scores)
    many.add_many(features, scores, decisions, bands)
    for row, score, decision, band in zip(rows, scores.tolist(), decisions, bands, strict=True):
        one.add(model.coder.one(row), score, decision, band)
    assert [c.counts for _, c in one.distributions] == [c.counts for _, c in many.distributions]
    assert one.histogram.counts == many.histogram.counts
    assert (one.decisions, one.bands) == (many.decisions, many.bands)
    assert one.score_sum == pytest.approx(many.score_sum)


def test_bins_are_closed_above() -> None:
    counter = BinCounter(Bins(edges=[1.0, 2.0], proportions=[0.2, 0.3, 0.5]))
    for value in (-5.0, 1.0, 1.5, 2.0, 2.1, 99.0):
        counter.add(value)
    assert counter.counts == [2, 2, 2]


def test_the_reference_fills_its_own_bins_in_its_own_proportions(model: Model) -> None:
    # The rows that the bundle's reference was computed from: no drift against itself.
    rows = random_customers(1500, seed=0)
    counters = ModelCounters(model)
    features = encode(rows)
    counters.add_many(features, model.score(features), ["stay"] * len(rows), ["low"] * len(rows))
    for feature, counter in zip(FEATURES, counters.features, strict=True):
        assert [c / len(rows) for c in counter.counts] == pytest.approx(list(counter.reference)), feature.name


async def test_the_exposition_is_well_formed(api: Api) -> None:
    async with api.client() as client:
        await client.post("/v1/predict", content=body(), headers=_JSON)
        answer = await client.get("/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE_LATEST
    families = list(text_string_to_metric_families(answer.text))
    assert len({f.name for f in families}) == len(families)
    assert all(f.documentation for f in families)
    assert not [s.name for f in families for s in f.samples if s.name.endswith("_created")]


async def test_names_begin_with_churn_and_end_with_their_unit(api: Api) -> None:
    async with api.client() as client:
        await client.post("/v1/predict", content=body(), headers=_JSON)
    for family in text_string_to_metric_families(generate_latest(api.service.metrics.registry).decode()):
        if family.name.startswith(("process_", "python_")):  # the standard collectors of the client library
            continue
        assert re.fullmatch(r"churn_[a-z_]+", family.name)
        if family.type == "counter":
            assert all(s.name.endswith("_total") for s in family.samples), family.name
        if "time" in family.documentation.lower().split() or family.name.endswith("age"):
            assert family.name.endswith("_seconds"), family.name
        for label in {name for s in family.samples for name in s.labels}:
            assert re.fullmatch(r"[a-z_]+", label)


def test_a_process_without_a_model_can_be_scraped() -> None:
    text = generate_latest(Service(Settings(auth="off")).metrics.registry).decode()
    names = {f.name for f in text_string_to_metric_families(text)}
    assert "churn_registry_up" in names
    assert "churn_model_info" not in names
    assert 'churn_registry_last_success_age_seconds{model="churn"} NaN' in text


async def test_the_model_is_reported(bundle: Path, tmp_path: Path) -> None:
    api = make_api(bundle, tmp_path)
    model = api.service.default.current.model
    version = model.origin.version
    assert (
        api.of_model(
            "churn_model_info", version=version, model_type="logistic_regression", source="folder", contract="telco"
        )
        == 1
    )
    assert api.of_model("churn_model_threshold") == 0.3
    assert api.of_model("churn_model_loaded_timestamp_seconds") == pytest.approx(model.loaded_at)
    assert api.of_model("churn_model_created_timestamp_seconds") == model.manifest.created_at.timestamp()
    age = api.of_model("churn_model_age_seconds")
    assert age is not None
    assert age >= 0
    assert api.of_model("churn_feature_bin_reference_rows") == 1500
