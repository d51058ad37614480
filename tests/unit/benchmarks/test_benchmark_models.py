from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import make_bundle

from app.model import load
from benchmarks.models import EIGHT, HEADER, Row, Setting, as_format_1, ratio, text


def row(scale: float) -> Row:
    return Row(rates=[100 * scale] * 3, cpu_us=[50.0] * 3, rows=[9e3] * 3, starts=[1.0, 2.0, 3.0], memory=64)


def test_a_ratio_is_of_figures_of_one_round() -> None:
    assert ratio([1, 20, 300], [2, 10, 300]) == "1.00"
    with pytest.raises(ValueError, match="longer"):
        ratio([1], [1, 2])


def test_the_section_has_a_row_for_each_setting_with_its_ratios() -> None:
    settings = [Setting(name=name, source=Path("bundle")) for name in ("first", f"one of {EIGHT}")]
    lines = [line for line in text(settings, [row(1), row(0.5)]).splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == list(HEADER)
    cells = [cell.strip() for cell in lines[-1].split("|")[1:-1]]
    assert cells == ["one of 8", "50", "0.50", "50.0", "1.00", "9,000", "1.00", "2.00", "1.00", "64"]


def test_a_bundle_is_made_older_and_loads(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    make_bundle(bundle)
    older = load(as_format_1(bundle, tmp_path / "older"))
    assert older.manifest.format == 1
    assert older.contract == load(bundle).contract
