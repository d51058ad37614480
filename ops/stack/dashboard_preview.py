"""Draws dashboards as pictures, so that people can look at them without a Grafana."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("agg")

from matplotlib import dates, ticker
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dashboards.panels import COLUMNS
from ops.stack.dashboard_queries import PanelData, PanelQueries, Series

INCHES_PER_COLUMN: Final = 0.62
INCHES_PER_ROW: Final = 0.36
COLORS: Final = {"green": "#2e9d57", "yellow": "#c69500", "orange": "#e0752d", "red": "#d0342c", "blue": "#3274d9"}
SUFFIXES: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
TABLE_ROWS: Final = 7
SHORT_SECONDS: Final = 600
"""Ranges shorter than this show times with their seconds."""
LEGEND_LINES: Final = 2
LEGEND_LETTERS: Final = 18
"""Length of the longest name that leaves room for four in a line."""
STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 8,
}


def figure_text(value: float, unit: str) -> str:
    """Format a value as Grafana does: short, with its unit."""
    if math.isnan(value):
        return "-"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return _seconds(value)
    if unit == "bytes":
        return f"{value / 1024**2:.4g} MiB" if value < 1024**3 else f"{value / 1024**3:.3g} GiB"
    text = next((f"{value / size:.3g} {name}" for size, name in SUFFIXES if abs(value) >= size), f"{value:.3g}")
    if unit == "currencyUSD":
        return f"${text}"
    return f"{text}/s" if unit in {"reqps", "ops"} else text


def _seconds(value: float) -> str:
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value * 1000:.3g} ms"


def color_of(value: float, panel: Any) -> str:
    """Return the color that the panel's thresholds give a value."""
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return COLORS[reached[-1]]


def draw(page: Any, queries: PanelQueries, path: Path) -> None:
    """Draw one dashboard of Grafana's JSON with live data, as a PNG.

    Raises:
        OpsError: no Prometheus answers.
    """
    names = [variable["name"] for variable in page["templating"]["list"] if variable["type"] == "query"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in page["panels"]) + 2
    size = (COLUMNS * INCHES_PER_COLUMN, rows * INCHES_PER_ROW)
    with plt.rc_context(STYLE):
        canvas = plt.figure(figsize=size, facecolor="white")
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        canvas.text(0.01, 1 - 0.9 / rows, page["title"], fontsize=15, weight="bold")
        canvas.text(0.99, 1 - 0.9 / rows, now, fontsize=9, ha="right", color="#666666")
        for panel in page["panels"]:
            place = panel["gridPos"]
            top = 1 - (place["y"] + 2) / rows
            if panel["type"] == "row":
                canvas.text(0.01, top - 0.7 / rows, panel["title"], fontsize=10, weight="bold", color="#444444")
                continue
            height, width = place["h"] / rows, place["w"] / COLUMNS
            box = (place["x"] / COLUMNS + 0.006, top - height + 0.25 / rows, width - 0.012, height - 0.5 / rows)
            _panel(canvas, box, queries.fetch(panel, names), rows)
        canvas.savefig(path, dpi=80, format="png")
        plt.close(canvas)


def _panel(canvas: Any, box: tuple[float, float, float, float], data: PanelData, rows: int) -> None:
    panel = data.panel
    x, y, width, height = box
    frame = canvas.add_axes(box)
    frame.set_xticks([])
    frame.set_yticks([])
    for spine in frame.spines.values():
        spine.set(visible=True, color="#dddddd")
    canvas.text(x + 0.005, y + height - 0.75 / rows, panel["title"], fontsize=8.5, weight="bold")
    if not data.series or (panel["type"] == "timeseries" and not _drawable(data)):
        frame.text(0.5, 0.45, "no data", ha="center", va="center", color="#999999", fontsize=11)
    elif panel["type"] == "stat":
        _stat(frame, data)
    elif panel["type"] == "table":
        _table(frame, data)
    else:
        inner = canvas.add_axes((x + 0.035, y + 1.6 / rows, width - 0.045, height - 2.8 / rows))
        _lines(inner, data)


def _stat(frame: Axes, data: PanelData) -> None:
    unit = data.panel["fieldConfig"]["defaults"]["unit"]
    values = [series.points[-1][1] for series in data.series]
    text = " / ".join(figure_text(value, unit) for value in values[:3])
    color = color_of(values[0], data.panel)
    frame.text(0.5, 0.4, text, ha="center", va="center", fontsize=17, color=color, weight="bold")


def _table(frame: Axes, data: PanelData) -> None:
    unit = data.panel["fieldConfig"]["defaults"]["unit"]
    shown = sorted(data.series, key=lambda series: -series.points[-1][1])
    for index, series in enumerate(shown[:TABLE_ROWS]):
        height = 0.78 - index * 0.1
        name = ", ".join(value for _, value in sorted(series.labels.items()))
        frame.text(0.02, height, name[:60] or "value", va="center")
        frame.text(0.98, height, figure_text(series.points[-1][1], unit), va="center", ha="right")
    if len(shown) > TABLE_ROWS:
        frame.text(0.02, 0.78 - TABLE_ROWS * 0.1, f"and {len(shown) - TABLE_ROWS} more", va="center", color="#999999")


def _drawable(data: PanelData) -> list[Series]:
    """Return the lines that show something: a quantile of nothing is always NaN, and would only fill the legend."""
    return [series for series in data.series if any(math.isfinite(value) for _, value in series.points)]


def _lines(axes: Axes, data: PanelData) -> None:
    defaults = data.panel["fieldConfig"]["defaults"]
    shown = _drawable(data)
    for series in shown:
        times = [datetime.fromtimestamp(at, UTC) for at, _ in series.points]
        axes.plot(times, [value for _, value in series.points], linewidth=1.2, label=series.name[:34])  # type: ignore[arg-type]  # matplotlib takes datetimes
    if defaults["custom"].get("thresholdsStyle", {}).get("mode") == "line":
        for step in defaults["thresholds"]["steps"][1:]:
            axes.axhline(step["value"], color=COLORS[step["color"]], linewidth=0.8, linestyle="--")
    values = [value for series in shown for _, value in series.points if math.isfinite(value)]
    axes.set_ylim(min([0.0, *values]), max([0.0, *values]) * 1.15 or 1.0)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: figure_text(value, defaults["unit"])))
    instants = [at for series in shown for at, _ in series.points]
    # With minutes alone, labels would repeat.
    clock = "%H:%M:%S" if max(instants) - min(instants) < SHORT_SECONDS else "%H:%M"
    axes.xaxis.set_major_formatter(dates.DateFormatter(clock))  # type: ignore[no-untyped-call]  # published without types
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.tick_params(labelsize=6.5, color="#bbbbbb")
    axes.grid(visible=True, axis="y", color="#eeeeee")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Write as many names below the panel as fit, and the number of the others."""
    handles, names = axes.get_legend_handles_labels()
    columns = 4 if max(map(len, names)) <= LEGEND_LETTERS else 2
    room = columns * LEGEND_LINES
    if len(names) > room:
        names = [*names[: room - 1], f"and {len(names) - room + 1} more"]
        handles = [*handles[: room - 1], Line2D([], [], linestyle="none")]
    axes.legend(
        handles, names, loc="upper left", bbox_to_anchor=(-0.06, -0.14), ncols=columns, fontsize=6, frameon=False
    )
