"""The tables of docs/ agree with the code that they describe."""

import re
from pathlib import Path

import pytest
from support.bundles import make_bundle
from support.paths import ROOT

from app.errors import CATALOGUE
from app.main import create_app
from app.schemas import FEATURES
from app.settings import Settings


def first_cells(page: str, heading: str) -> list[str]:
    """The first cell of each row, without backticks, of the table under a heading."""
    section = (ROOT / "docs" / page).read_text("utf-8").split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (.*) \|$", section, flags=re.MULTILINE)
    return [row.split(" | ")[0].strip("` ") for row in rows[1:] if not set(row) <= set("-|: ")]


def test_every_feature_is_documented_with_its_bounds() -> None:
    page = (ROOT / "docs" / "data.md").read_text("utf-8")
    for feature in FEATURES:
        assert f"| `{feature.name}` | `{feature.ibm_name}` | {feature.expected} | {feature.unit or ''} |" in page


def test_every_error_is_documented() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    for problem in CATALOGUE:
        assert f"| {problem.status} | `{problem.code}` | {problem.title} |" in page


def test_every_setting_is_documented_and_no_other() -> None:
    assert first_cells("api.md", "## Settings") == [name.upper() for name in Settings.model_fields]


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_metric_is_documented_and_no_other(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    app = create_app(Settings(auth="off", model_source=str(tmp_path / "bundle")))
    families = app.state.service.metrics.registry.collect()
    exported = {f.name + ("_total" if f.type == "counter" else "") for f in families if f.name.startswith("churn_")}
    assert set(first_cells("api.md", "## Metrics")) == exported


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").rglob("*.md")) + sorted(ROOT.glob("*.md")), ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
