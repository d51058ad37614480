"""The tables of docs/ agree with the code that they describe."""

import re
from pathlib import Path

import pytest
from support.bundles import make_bundle
from support.paths import ROOT
from support.telco import FEATURES

from app.errors import CATALOGUE
from app.main import create_app
from app.settings import Settings
from infra.workloads.ingress_problems import PROBLEMS

PATH = re.compile(
    r"`((?:\.ci|\.github|app|benchmarks|dashboards|docs|infra|ops|requirements|tests|training)/[\w./-]*|test_\w+\.py)`"
)
"""A file or folder of this repository in backticks; a test module may stand without its folder."""
MODULE = re.compile(r"python -m ((?:app|benchmarks|ops|training)(?:\.\w+)*)")
CURRENT = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""Documents of the present state; the changelog names files that are gone, and CONTRIBUTING.md adds some."""


def first_cells(page: str, heading: str) -> list[str]:
    """The first cell of each row, without backticks, of the table under a heading."""
    section = (ROOT / "docs" / page).read_text("utf-8").split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (.*) \|$", section, flags=re.MULTILINE)
    return [row.split(" | ")[0].strip("` ") for row in rows[1:] if not set(row) <= set("-|: ")]


def test_every_feature_is_documented_with_its_bounds() -> None:
    page = (ROOT / "docs" / "data.md").read_text("utf-8")
    for feature in FEATURES:
        ibm = feature.aliases[0] if feature.aliases else feature.name
        assert f"| `{feature.name}` | `{ibm}` | {feature.expected} | {feature.unit or ''} |" in page


def test_every_error_is_documented() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    for problem in CATALOGUE:
        assert f"| {problem.status} | `{problem.code}` | {problem.title} |" in page


def test_every_error_of_the_edge_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    for problem in PROBLEMS:
        seconds = f" {problem.retry_seconds} s" if problem.retry_seconds else ""
        assert f"| {problem.status} | `{problem.code}` | {problem.title} |{seconds} |" in page
    section = page.split("### Errors of the edge\n", 1)[1].split("\n## ", 1)[0]
    assert len(re.findall(r"^\| \d{3} \|", section, flags=re.MULTILINE)) == len(PROBLEMS)


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


def missing_paths(text: str) -> list[str]:
    """List the paths and programs that a text names and the repository does not have."""
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    files = [path for path in PATH.findall(text) if path not in tests and not (ROOT / path).exists()]
    programs = [(name, ROOT / name.replace(".", "/")) for name in MODULE.findall(text)]
    return files + [name for name, path in programs if not (path.is_dir() or path.with_suffix(".py").is_file())]


@pytest.mark.parametrize("page", CURRENT, ids=lambda p: p.name)
def test_the_paths_that_a_page_names_exist(page: Path) -> None:
    assert missing_paths(page.read_text("utf-8")) == []


def test_the_paths_that_contributing_names_exist() -> None:
    before, _, rest = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Adding a workload to the platform\n")
    assert missing_paths(before + rest.partition("\n## ")[2]) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`app/main.py`, `tests/policy` and `test_docs.py`", []),
        ("`app/nothing.py` beside `app/main.py`", ["app/nothing.py"]),
        ("`tests/nothing/` and `test_nothing.py`", ["tests/nothing/", "test_nothing.py"]),
        ("`python -m ops.stack.cost --write`, `python -m app`, `python -m ops.nothing`", ["ops.nothing"]),
    ],
)
def test_a_path_that_does_not_exist_is_reported(text: str, missing: list[str]) -> None:
    assert missing_paths(text) == missing
