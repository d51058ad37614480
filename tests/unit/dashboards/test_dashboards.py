"""Dashboards: Grafana can load them, and every expression is valid PromQL."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import ROOT
from support.programs import program, run

import dashboards
from dashboards.panels import COLUMNS, Dashboard, Query, Row, Stat, Timeseries

EVERY = dashboards.every()
NAMES = sorted(EVERY)


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_there_is_one_for_each_module() -> None:
    folder = Path(dashboards.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "panels"} == EVERY.keys()


def test_uids_and_titles_are_unique() -> None:
    for key in ("uid", "title"):
        assert len({dashboard[key] for dashboard in EVERY.values()}) == len(EVERY)


@pytest.mark.parametrize("name", NAMES)
def test_grafana_can_load(name: str) -> None:
    dashboard = json.loads(json.dumps(EVERY[name]))
    panels = dashboard["panels"]
    assert dashboard["uid"] == f"churn-{name}"
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert dashboard["templating"]["list"][0]["name"] == "datasource"
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert references == [chr(ord("A") + index) for index in range(len(references))]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        assert all(a["value"] < b["value"] for a, b in pairwise(steps[1:]))


@pytest.mark.parametrize("name", NAMES)
def test_no_panels_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in EVERY[name]["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells


def test_panels_are_placed_line_by_line() -> None:
    def stat(width: int) -> Stat:
        return Stat(title="t", description="d", queries=[Query(expr="up")], width=width)

    wide = Timeseries(title="t", description="d", queries=[Query(expr="up")], width=16)
    page = Dashboard(uid="u", title="t", description="d", rows=[
        Row(title="r", panels=[stat(8), wide, stat(4)]), Row(title="s", panels=[stat(24)])
    ]).as_json()  # fmt: skip
    assert [tuple(panel["gridPos"][key] for key in "xywh") for panel in page["panels"]] == [
        (0, 0, 24, 1), (0, 1, 8, 4), (8, 1, 16, 8), (0, 9, 4, 4), (0, 13, 24, 1), (0, 14, 24, 4),
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_runbooks_that_exist(name: str) -> None:
    page = dashboards.every("https://docs.example.com")[name]
    links = [link["url"] for panel in page["panels"] for link in panel.get("links", [])]
    assert links
    for link in links:
        assert link.startswith("https://docs.example.com/docs/runbooks/")
        path, _, anchor = link.removeprefix("https://docs.example.com/").partition("#")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert anchor in [heading.lower() for heading in re.findall(r"^## (.+)$", text, flags=re.MULTILINE)]


@pytest.mark.parametrize("name", NAMES)
def test_without_an_address_a_panel_names_its_runbook_and_has_no_link(name: str) -> None:
    linked = {p["title"]: p for p in dashboards.every("https://docs.example.com/")[name]["panels"] if p.get("links")}
    plain = {panel["title"]: panel for panel in EVERY[name]["panels"]}
    assert not [title for title, panel in plain.items() if panel.get("links")], "it would lead to Grafana's own host"
    for title, panel in linked.items():
        path = panel["links"][0]["url"].removeprefix("https://docs.example.com/")
        assert plain[title]["description"] == f"{panel['description']}\n\nRunbook: {path}"


def test_a_variable_takes_all_values_at_first() -> None:
    (variable,) = [v for v in EVERY["model"]["templating"]["list"] if v["name"] == "version"]
    assert variable["query"]["query"] == 'label_values(churn_predictions_total{model=~"$model"}, model_version)'
    assert (variable["includeAll"], variable["allValue"]) == (True, ".*")


@pytest.mark.parametrize("name", ["model", "business"])
def test_panels_about_models_show_those_that_are_chosen(name: str) -> None:
    """At first all of them; the costs of the pods are those of all models."""
    variable = EVERY[name]["templating"]["list"][1]
    assert (variable["name"], variable["multi"], variable["current"]["value"]) == ("model", True, ["$__all"])
    of_pods = ("churn:cost:", "churn:budget:")
    every = [expression for expression in expressions(EVERY[name]) if not expression.startswith(of_pods)]
    assert every
    selectors = [each for expression in every for each in re.findall(r"\bchurn[_:][\w:]+(?:\{[^}]*\})?", expression)]
    # The threshold is matched with an index of the same labels.
    assert {each for each in selectors if 'model=~"$model"' not in each} <= {"churn:feature_psi:threshold1h"}


def test_every_expression_is_promql(tmp_path: Path) -> None:
    every = [expression for dashboard in EVERY.values() for expression in expressions(dashboard)]
    rules = [{"record": f"panel:{index}", "expr": _plain(expr)} for index, expr in enumerate(every)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    run(program("promtool", "prometheus"), "check", "rules", "--lint=none", str(path))


def _plain(expression: str) -> str:
    """Return the expression with Grafana's variables replaced; it may contain no others."""
    text = expression.replace("$__rate_interval", "5m").replace("$__range", "6h")
    text = text.replace("$pod", ".*").replace("$version", ".*").replace("$model", ".*")
    assert "$" not in text
    return text
