"""Every metric that a rule or a panel names exists, with the labels that it uses."""

from __future__ import annotations

import json
import re

import promql_parser as p
import pytest
from recorded.record import recording, wanted_metrics, with_exporter
from support import uses
from support.exposed import API, RECORDING, UNRECORDED, Exposed, exposed, recorded
from support.labels import problems
from support.paths import ROOT
from support.promql import Matcher, Selector, bare, metrics, parse, selectors

from ops import metric_names

PODS = frozenset({"job", "namespace", "pod"})
SMALL = Exposed(
    {
        "a_total": {"x": PODS | {"status"}, "y": frozenset({"job", "zone"})},
        "b_bucket": {"x": PODS | {"le"}},
        "info": {"z": PODS | {"node"}},
        "plain": {"x": PODS},
    },
    [
        {"record": "a:rate", "expr": "sum by (pod) (rate(a_total[5m]))", "labels": {"tier": "one"}},
        {"record": "a:rate:max", "expr": "max without (pod) (a:rate)"},
    ],
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    return Exposed(exposed(tmp_path_factory.mktemp("api")), uses.rules())


def test_every_rule_and_panel_asks_for_what_exists(known: Exposed) -> None:
    reports = [(use.where, problems(use.expression, known, use.shown)) for use in uses.every()]
    assert [pair for pair in reports if pair[1]] == []


def test_every_kind_of_use_is_checked() -> None:
    places = {use.where for use in uses.every()}
    assert {"ApiDown", "churn:feature_psi:1h", "api: Requests by route", "model: $version"} <= places
    shown = {use.where: use.shown for use in uses.every()}
    assert {"node"} <= shown["NodeDown"]
    assert shown["api: Requests by route"] == {"route"}


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("kube_pod_info", "kube_pod_infos", "no metric kube_pod_infos"),
        ("owner_kind=", "owner_kin=", "kube_pod_owner: no label owner_kin"),
        ("group_left (node)", "group_left (nod)", "group_left: no label nod"),
        ("by (namespace, pod, node)", "by (namespace, pod, nodes)", "max by: no label nodes"),
    ],
)
def test_a_mistake_in_a_rule_is_found(known: Exposed, right: str, wrong: str, problem: str) -> None:
    (use,) = (use for use in uses.every() if use.where == "PodNotReady")
    assert right in use.expression
    assert problem in problems(use.expression.replace(right, wrong), known)


def test_a_label_that_the_message_shows_and_the_alert_lacks_is_found(known: Exposed) -> None:
    (use,) = (use for use in uses.every() if use.where == "NodeDown")
    assert problems(use.expression, known, {"pod"}) == ["the answer: no label pod"]


@pytest.mark.parametrize("metric", sorted(UNRECORDED))
def test_what_is_not_recorded_is_asked_for_and_still_not_recorded(metric: str) -> None:
    assert metric in wanted_metrics()
    assert metric not in recorded()
    assert UNRECORDED[metric].reason


@pytest.mark.parametrize("job", metric_names.JOBS)
def test_labels_of_a_pushed_metric_are_those_of_its_home(known: Exposed, job: str) -> None:
    for metric in metric_names.JOBS[job]:
        assert known(Selector(metric)) == frozenset({"job", *metric_names.LABELS.get(metric, ())})


@pytest.mark.parametrize(
    ("where", "right", "wrong", "problem"),
    [
        ("BackupVersionsBroken", "broken_versions", "broken", "no metric churn_backup_broken"),
        ("TrainingRefused", "verdict=", "result=", "churn_training_verdict: no label result"),
    ],
)
def test_a_mistake_in_a_pushed_metric_is_found(
    known: Exposed, where: str, right: str, wrong: str, problem: str
) -> None:
    (use,) = (use for use in uses.every() if use.where == where)
    assert problem in problems(use.expression.replace(right, wrong), known)


def test_a_pushed_metric_is_written_everywhere_as_in_its_home() -> None:
    """In the recording of a cluster too, and where no parser reads it: documents, tests on a cluster, programs."""
    folders = ("app", "dashboards", "docs", "infra", "ops", "tests/cluster", "tests/recorded", "tests/rules")
    names: dict[str, str] = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".json", ".md", ".py", ".yaml"}:
                text = path.read_text("utf-8")
                names |= dict.fromkeys(re.findall(r"\bchurn_(?:backup|drill|training)_\w+", text), path.name)
    assert {name: where for name, where in names.items() if name not in metric_names.HELP} == {}


def test_the_recording_has_what_is_asked_for_and_nothing_else() -> None:
    assert recorded().keys() <= wanted_metrics()
    versions = json.loads(RECORDING.read_text(encoding="utf-8"))["versions"]
    assert {"kube-state-metrics-telemetry", "node-exporter", "prometheus", "alertmanager"} <= versions.keys()


def test_a_recording_keeps_names_of_labels_and_versions_alone() -> None:
    series = [
        {"__name__": "a_total", "job": "x", "pod": "secret-1"},
        {"__name__": "a_total", "job": "x", "zone": "secret-2"},
        {"__name__": "not_asked_for", "job": "x", "pod": "secret-1"},
        {"__name__": "x_build_info", "job": "x", "version": "1.2.3", "instance": "secret-3"},
        {"__name__": "up", "job": API, "pod": "secret-1"},
        {"__name__": "a_total", "job": API, "pod": "secret-1"},
        {"__name__": "a_total", "job": "ingress", "pod": "secret-1"},
        {"__name__": "a_total"},
    ]
    content = recording(series, {"a_total", "up"})
    assert content == {
        "versions": {"x": "1.2.3"},
        "series": {"": {"a_total": []}, API: {"up": ["job", "pod"]}, "x": {"a_total": ["job", "pod", "zone"]}},
    }


def test_an_exporter_is_added_from_its_page_with_the_labels_of_our_scrape() -> None:
    page = """# TYPE pg_stat_database_deadlocks counter
pg_stat_database_deadlocks{datname="secret-1"} 0
pg_settings_port 5432
pg_exporter_scrapes_total 1
postgres_exporter_build_info{version="1.2.3"} 1
"""
    before = {"versions": {"x": "1"}, "series": {"x": {"up": ["job"]}, "postgres-exporter": {"gone": ["job"]}}}
    scrape = ["instance", "job", "namespace", "node", "pod"]
    assert with_exporter(before, "postgres-exporter", page) == {
        "from_a_page": ["postgres-exporter"],
        "versions": {"postgres-exporter": "1.2.3", "x": "1"},
        "series": {
            "postgres-exporter": {"pg_stat_database_deadlocks": sorted([*scrape, "datname"]), "up": scrape},
            "x": {"up": ["job"]},
        },
    }


def test_labels_of_the_api_come_from_its_own_exposition(known: Exposed) -> None:
    assert API not in recorded()["process_cpu_seconds_total"]
    # With nothing counted yet, with something counted, and a histogram.
    assert known(Selector("churn_auth_total")) == frozenset({"outcome", "job", "instance", "namespace", "node", "pod"})
    assert "model_version" in (known(Selector("churn_predictions_total")) or ())
    assert {"le", "route"} <= (known(Selector("churn_http_request_duration_seconds_bucket")) or frozenset())
    assert "le" not in (known(Selector("churn_http_request_duration_seconds_count")) or ())


@pytest.mark.parametrize(
    "expression",
    [
        'sum by (pod, status) (rate(a_total{job="x"}[5m])) > 0.5',
        'a_total{job=~"x|y", zone!=""}',
        "histogram_quantile(0.9, sum(rate(b_bucket[5m] offset 1w)) by (le))",
        "plain * on (namespace, pod) group_left (node) max by (namespace, pod, node) (info)",
        'plain / ignoring (node) info{job="z"}',
        "max without (tier) (a:rate) or vector(0)",
        'sum by (new) (label_replace(plain, "new", "$1", "pod", "(.*)"))',
        'count_values("value", plain) > bool 2 ^ -1',
        "topk(5, max_over_time(plain{pod=~'$pod'}[$__range:1m] @ end()))",
        "-1e-3 * plain + time()",
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(expression: str) -> None:
    assert problems(expression, SMALL) == []


@pytest.mark.parametrize(
    ("expression", "shown", "expected"),
    [
        ("sum(rate(a_totals[5m]))", "", ["no metric a_totals"]),
        ('rate(a_total{job="z"}[5m])', "", ["no metric a_total of job=z"]),
        ('a_total{job="y", status="5"}', "", ["a_total: no label status"]),
        ("sum by (zone) (plain)", "", ["sum by: no label zone"]),
        ("sum(plain) without (zone)", "", ["sum without: no label zone"]),
        ("sum by (pod) (sum by (job) (plain))", "", ["sum by: no label pod"]),
        ("plain * on (node) group_left () info", "", ["left of * on: no label node"]),
        ("plain and on (status) a_total", "", ["left of and on: no label status"]),
        ("plain / ignoring (zone) plain", "", ["/ ignoring: no label zone"]),
        ("plain * on (pod) group_left (zone) info", "", ["group_left: no label zone"]),
        ("plain / info", "", ["/: only one side has node"]),
        ("histogram_quantile(0.9, sum by (pod) (b_bucket))", "", ["histogram_quantile: no label le"]),
        ("sum by (status) (a:rate)", "", ["sum by: no label status"]),
        ("a:rate:max", "tier pod", ["the answer: no label pod"]),
        ('absent(plain{job="x"})', "job pod", ["the answer: no label pod"]),
        ('absent(plain{job="x"} == 1)', "job", ["the answer: no label job"]),
    ],
)
def test_each_mistake_is_found(expression: str, shown: str, expected: list[str]) -> None:
    assert problems(expression, SMALL, shown.split()) == expected


def shape(node: p.Expr) -> str:
    """The expression with parentheses around each operation, and around nothing else."""
    inner = bare(node)
    if isinstance(inner, p.BinaryExpr):
        return f"({shape(inner.lhs)} {inner.op} {shape(inner.rhs)})"
    assert isinstance(inner, p.VectorSelector)
    return str(inner.name)


def test_operators_bind_as_in_prometheus() -> None:
    assert shape(parse("a + b * c")) == shape(parse("a + (b * c)")) == "(a + (b * c))"
    assert shape(parse("a - b - c")) == shape(parse("(a - b) - c")) == "((a - b) - c)"
    assert shape(parse("a ^ b ^ c")) == shape(parse("a ^ (b ^ c)")) == "(a ^ (b ^ c))"
    assert shape(parse("a > b and c or d unless e")) == shape(parse("((a > b) and c) or (d unless e)"))


def test_a_selector_is_read_with_its_matchers() -> None:
    node = parse('x{a="b", c!~"d{2}", e!="f", g=~"h"}')
    matchers = (Matcher("a", "=", "b"), Matcher("c", "!~", "d{2}"), Matcher("e", "!=", "f"), Matcher("g", "=~", "h"))
    assert list(selectors(node)) == [Selector("x", matchers)]


@pytest.mark.parametrize(
    "expression",
    ["", "sum(", "a b", "a +", '{job="x"}', 'a{b="c" or d="e"}', "a ? b", "sum by (a", "maxi(a)", "rate(a)"],
)
def test_an_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        metrics(expression)


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ('sum by (le, route) (rate(a_bucket{x="b", y=~"c{2}"}[5m])) / on (z) group_left (w) d', {"a_bucket", "d"}),
        ("time() - max by (cronjob) (e:f) > 26 * 3600 or vector(0)", {"e:f"}),
        ("histogram_quantile(0.95, g offset 5m)", {"g"}),
    ],
)
def test_metrics_are_found_in_an_expression(expression: str, named: set[str]) -> None:
    assert metrics(expression) == named
