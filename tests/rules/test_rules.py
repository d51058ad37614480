"""Alert rules are valid, each is seen silent and then firing, and each has a runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import ROOT
from support.programs import program, run
from support.recorder import STACKS, settings
from support.tools import newest_prometheus

import dashboards
from infra import edges, naming, prices, rules_files
from infra.kit import scrape
from infra.rules_files import RULES
from infra.workloads import alertmanager_config as alerting
from ops import metric_names

CASES = {
    alert: cases
    for path in sorted(Path(__file__).with_name("cases").glob("*.yaml"))
    for alert, cases in yaml.safe_load(path.read_text(encoding="utf-8")).items()
}
"""When each alert is silent and when it fires, over series that change each minute from time 0 on.

Times are minutes, also where series change only ``every`` so many; "1x5 0x9" is 1 for six minutes, then 0 for ten; "_"
is no sample. A lone 0x9 needs quotes: without, YAML reads a number. Cases with ``fires`` also say when it is still
silent; the others say when it must not fire. In cases with a ``model``, the alert fires about that one and no other.
"""
NO_RULES = {
    naming.MLFLOW_MIGRATE: "Pulumi itself waits for it and fails with it",
    naming.RESTORE: "a person starts it and waits for it",
    naming.POSTGRES_SETUP: "Pulumi itself waits for it and fails with it",
}

AGES = (pytest.param("oldest", marks=pytest.mark.long(seconds=2)), "newest")
"""Debian's Prometheus, which is years older, and the one that is built from `tests/tools/prometheus`, each time."""


def promtool_of(age: str) -> str:
    """The path of the oldest or the newest `promtool`."""
    return program("promtool", "prometheus") if age == "oldest" else str(newest_prometheus("promtool"))


Alerts = dict[str, tuple[str, dict[str, Any]]]


def as_test(alert: str, case: dict[str, Any]) -> dict[str, Any]:
    """A case in promtool's form: how many alerts of that name fire at each time, or of its model."""
    firing = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    expression, labels, none = f"count({firing}) or vector(0)", "{}", [{"labels": "{}", "value": 0}]
    if "model" in case:
        expression, labels, none = f"count by (model) ({firing})", f'{{model="{case["model"]}"}}', []
    assert all(isinstance(values, str) for values in case["series"].values()), f"{alert}: quote the values"
    one = [{"labels": labels, "value": 1}]
    times = [(minute, none) for minute in case["silent"]] + [(minute, one) for minute in case.get("fires", [])]
    return {
        "name": f"{alert}: {case.get('name', '')}",
        "interval": f"{case.get('every', 1)}m",
        "input_series": [{"series": name, "values": values} for name, values in case["series"].items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples} for minute, samples in times
        ],
    }


@pytest.fixture
def price_rules(tmp_path: Path) -> Path:
    """The file with the rules that are computed from prices."""
    path = tmp_path / "prices.yaml"
    path.write_text(prices.rules(settings("prod").budget.pods_monthly_usd), encoding="utf-8")
    return path


@pytest.mark.parametrize("age", AGES)
def test_rules_are_valid(age: str, price_rules: Path) -> None:
    run(
        promtool_of(age),
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        *map(str, sorted(RULES.glob("*.yaml"))),
        str(price_rules),
    )


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("file", sorted(path.stem for path in RULES.glob("*.yaml")))
def test_every_alert_is_silent_and_fires_as_its_cases_say(
    file: str, age: str, alerts: Alerts, price_rules: Path, tmp_path: Path
) -> None:
    by_step: dict[int, list[dict[str, Any]]] = {}
    for alert, cases in CASES.items():
        for case in cases if alerts[alert][0] == file else []:
            by_step.setdefault(case.get("every", 1), []).append(as_test(alert, case))
    files = []
    for every, tests in by_step.items():
        rule_files = [price_rules, RULES / f"{file}.yaml"]
        # Prometheus evaluates groups in parallel; here, alerts come after the records that they use.
        order = [group["name"] for path in rule_files for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
        content = {
            "rule_files": list(map(str, rule_files)),
            "evaluation_interval": f"{every}m",
            "group_eval_order": order,
            "tests": tests,
        }
        files.append(tmp_path / f"{file}-{every}.yaml")
        files[-1].write_text(yaml.safe_dump(content), encoding="utf-8")
    assert files, "no alert of it has a case"
    run(promtool_of(age), "test", "rules", *map(str, files))


def test_every_alert_is_seen_silent_before_firing_and_silent_where_it_must_not_fire(alerts: Alerts) -> None:
    assert CASES.keys() == alerts.keys()
    counted = {
        name: (
            sum(
                bool(case.get("fires") and case["silent"] and min(case["silent"]) < min(case["fires"]))
                for case in cases
            ),
            sum(bool(case["silent"] and not case.get("fires")) for case in cases),
        )
        for name, cases in CASES.items()
    }
    assert [name for name, (fires, quiet) in counted.items() if not (fires and quiet)] == [alerting.WATCHDOG]


def seconds(duration: str) -> int:
    """A duration of a rule or of a scrape, in seconds."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[duration[-1]]


def test_a_cause_fires_before_its_effect_and_until_the_effect_is_over(alerts: Alerts) -> None:
    for effect, causes in alerting.CAUSES.items():
        for cause in causes:
            rule, other = alerts[cause][1], alerts[effect][1]
            assert seconds(rule["for"]) < seconds(other["for"]), cause
            assert rule["labels"]["severity"] == other["labels"]["severity"], "a lesser cause would hide a page"
            # Two scrapes, and the evaluation after them.
            assert seconds(rule["keep_firing_for"]) >= 3 * seconds(scrape.INTERVAL), cause


def test_what_a_job_pushed_counts_until_the_next_push(alerts: Alerts) -> None:
    """A pushgateway that moves to another node starts empty: without the last value, an alert would be "resolved"."""
    pushed = {
        name: re.findall(rf"(\w+\()?({'|'.join(metric_names.HELP)})\b", rule["expr"])
        for name, (_, rule) in alerts.items()
    }
    assert {name for name, uses in pushed.items() if uses} >= {"BackupVersionsBroken", "TrainingRefused"}
    assert {name for name, uses in pushed.items() if any(call != "last_over_time(" for call, _ in uses)} == set()


def test_every_alert_says_how_bad_it_is_of_what_and_what_to_do(alerts: Alerts) -> None:
    for name, (workload, rule) in alerts.items():
        assert rule["labels"]["severity"] in alerting.CHANNELS_OF, name
        assert rule["labels"]["workload"] == workload.split(".")[0]
        assert {"summary", "description", "runbook_url", "dashboard"} == rule["annotations"].keys(), name
        assert rule["annotations"]["dashboard"] in {page["uid"] for page in dashboards.every().values()}, name
        path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        headings = re.findall(r"^## (.+)$", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert (path, anchor) == (f"docs/runbooks/{workload}.md", name.lower())
        assert name in headings


def test_runbooks_have_no_alert_that_is_gone(alerts: Alerts) -> None:
    of_workload: dict[str, list[str]] = {}
    for name, (workload, _) in alerts.items():
        of_workload.setdefault(workload, []).append(name)
    for workload, names in of_workload.items():
        text = (ROOT / "docs" / "runbooks" / f"{workload}.md").read_text(encoding="utf-8")
        assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == names


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_has_the_rules_of_its_workloads(stack: str) -> None:
    workloads = set(edges.workloads(settings(stack))) - NO_RULES.keys()
    owners = {name.split(".")[0] for name in rules_files.rule_files(workloads)}
    assert owners == {workload.name for workload in workloads} | {"prices"}


def test_every_rule_file_belongs_to_a_workload() -> None:
    known = {value.name for value in vars(naming).values() if isinstance(value, naming.Workload)}
    assert {path.name.split(".")[0] for path in RULES.iterdir()} <= known
