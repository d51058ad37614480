"""Dashboards as pictures: how a panel shows the answers of Prometheus."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from dashboards.panels import Dashboard, Query, Row, Stat, Table, Timeseries
from ops.stack import dashboard_preview
from ops.stack.dashboard_preview import color_of, draw, figure_text
from ops.stack.dashboard_queries import PanelData, Series

NOW = 1_760_000_000.0


class Answers:
    """A stand-in for a Prometheus that answers every panel with the same series."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._series = series

    def fetch(self, panel: Mapping[str, Any], names: Sequence[str] = ()) -> PanelData:
        del names
        return PanelData(panel=panel, series=self._series)


def line(name: str, *values: float, step: float = 60) -> Series:
    points = [(NOW + step * index, value) for index, value in enumerate(values)]
    return Series(name=name, labels={"name": name}, points=points)


def drawn(panel: Stat | Table | Timeseries, series: Sequence[Series], folder: Path, figures: list[Figure]) -> Figure:
    page = Dashboard(uid="churn-sample", title="Sample", description="", rows=[Row(title="Row", panels=[panel])])
    path = folder / "sample"
    draw(page.as_json(), Answers(series), path)  # type: ignore[arg-type]  # a stand-in of what it asks
    assert path.read_bytes().startswith(b"\x89PNG")
    return figures[-1]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect every figure that is drawn."""
    closed: list[Figure] = []
    close = plt.close

    def keep(figure: Figure) -> None:
        closed.append(figure)
        close(figure)

    monkeypatch.setattr(plt, "close", keep)
    return closed


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.123456, "percentunit", "12.3 %"),
        (0.0042, "s", "4.2 ms"),
        (5400, "s", "1.5 h"),
        (3 * 1024**3, "bytes", "3 GiB"),
        (12_345, "reqps", "12.3 k/s"),
        (12_345, "currencyUSD", "$12.3 k"),
        (math.nan, "s", "-"),
    ],
)
def test_a_figure_is_short_and_has_its_unit(value: float, unit: str, text: str) -> None:
    assert figure_text(value, unit) == text


def test_an_empty_series_is_neither_drawn_nor_named(tmp_path: Path, figures: list[Figure]) -> None:
    panel = Timeseries(title="Lines", description="", queries=[Query(expr="up")])
    figure = drawn(panel, [line("real", 1, 2, 3), line("empty", math.nan, math.nan, math.nan)], tmp_path, figures)
    (axes,) = [axes for axes in figure.axes if axes.lines]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["real"]
    assert len(axes.lines) == 1


def test_a_panel_without_a_value_says_so(tmp_path: Path, figures: list[Figure]) -> None:
    panel = Timeseries(title="Lines", description="", queries=[Query(expr="up")])
    assert "no data" in texts(drawn(panel, [line("empty", math.nan)], tmp_path, figures))
    assert "no data" in texts(drawn(panel, [], tmp_path, figures))


def test_names_beyond_the_room_are_counted(tmp_path: Path, figures: list[Figure]) -> None:
    panel = Timeseries(title="Lines", description="", queries=[Query(expr="up")])
    figure = drawn(panel, [line(f"line {index}", 1, 2) for index in range(11)], tmp_path, figures)
    (axes,) = [axes for axes in figure.axes if axes.lines]
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [*(f"line {index}" for index in range(7)), "and 4 more"]


def test_a_table_shows_the_largest_first_and_counts_the_rest(tmp_path: Path, figures: list[Figure]) -> None:
    panel = Table(title="Table", description="", queries=[Query(expr="up")])
    figure = drawn(panel, [line(f"pod-{index}", index) for index in range(9)], tmp_path, figures)
    assert {"pod-8", "pod-2", "and 2 more"} <= texts(figure)
    assert "pod-1" not in texts(figure)


def test_a_stat_has_the_color_of_its_threshold() -> None:
    panel = Stat(title="Stat", description="", queries=[Query(expr="up")], thresholds=[(0.5, "red")])
    page = Dashboard(
        uid="churn-sample", title="Sample", description="", rows=[Row(title="Row", panels=[panel])]
    ).as_json()
    (stat,) = [each for each in page["panels"] if each["type"] == "stat"]
    assert (color_of(0.4, stat), color_of(0.5, stat)) == (
        dashboard_preview.COLORS["green"],
        dashboard_preview.COLORS["red"],
    )
