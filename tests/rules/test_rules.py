"""Alert rules: valid, about metrics that exist, each seen silent and firing, each with a runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from recorder import STACKS, settings
from support.exposed import OTHERS, api_metrics
from support.programs import run
from support.promql import metrics

from infra import edges, naming
from infra.kit import alerting
from infra.workloads.prometheus import RULES, rules

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))
NO_RULES = {
    naming.MLFLOW_MIGRATE: "Pulumi itself waits for it and fails with it",
    naming.POSTGRES_SETUP: "Pulumi itself waits for it and fails with it",
}

Alerts = dict[str, tuple[str, dict[str, Any]]]


def as_test(alert: str, case: dict[str, Any]) -> dict[str, Any]:
    """A case in promtool's form: how many alerts of that name fire at each time."""
    expression = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
    assert all(isinstance(values, str) for values in case["series"].values()), f"{alert}: quote the values"
    times = [(minute, 0) for minute in case["silent"]] + [(minute, 1) for minute in case.get("fires", [])]
    return {
        "name": f"{alert}: {case.get('name', '')}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case["series"].items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}
            for minute, value in times
        ],
    }


def test_rules_are_valid(promtool: str) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *map(str, sorted(RULES.glob("*.yaml"))))


def test_every_alert_is_silent_and_fires_as_its_cases_say(promtool: str, alerts: Alerts, tmp_path: Path) -> None:
    of_workload: dict[str, list[dict[str, Any]]] = {}
    for alert, cases in CASES.items():
        of_workload.setdefault(alerts[alert][0], []).extend(as_test(alert, case) for case in cases)
    files = [tmp_path / f"{workload}.yaml" for workload in of_workload]
    for path, tests in zip(files, of_workload.values(), strict=True):
        content = {"rule_files": [str(RULES / path.name)], "evaluation_interval": "1m", "tests": tests}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    run(promtool, "test", "rules", *map(str, files))


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(alerts: Alerts) -> None:
    assert CASES.keys() == alerts.keys()
    assert [name for name, cases in CASES.items() if not any(case.get("fires") for case in cases)] == []
    never_silent = [name for name, cases in CASES.items() if not any(case["silent"] for case in cases)]
    assert never_silent == [alerting.WATCHDOG]


def test_every_alert_says_how_bad_it_is_of_what_and_what_to_do(alerts: Alerts) -> None:
    for name, (workload, rule) in alerts.items():
        assert rule["labels"]["severity"] in alerting.MEANT, name
        assert rule["labels"]["workload"] == workload
        assert {"summary", "description", "runbook_url"} == rule["annotations"].keys(), name
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


def test_every_metric_of_a_rule_exists(alerts: Alerts, tmp_path: Path) -> None:
    there = OTHERS | api_metrics(tmp_path)
    named = {name: metrics(rule["expr"]) for name, (_, rule) in alerts.items()}
    assert {name: sorted(found - there) for name, found in named.items() if found - there} == {}


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_has_the_rules_of_what_it_has(stack: str) -> None:
    workloads = set(edges.workloads(settings(stack))) - NO_RULES.keys()
    assert rules(workloads).keys() == {f"{workload.name}.yaml" for workload in workloads}


def test_there_is_no_rule_file_of_something_else() -> None:
    known = {value.name for value in vars(naming).values() if isinstance(value, naming.Workload)}
    assert {path.stem for path in RULES.iterdir()} <= known
