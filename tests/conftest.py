"""For every test: a setting of the API comes from the test and not from outside. And the real Pulumi engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import long_tests

from app.settings import Settings

if TYPE_CHECKING:
    from pulumi import automation as auto

ENGINE = Path(__file__).parent / "tools" / "engine.sh"
NO_GO = 3


# The last to choose: what `-m` takes out of a run must use up nothing of its budget.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests that this run does not ask for."""
    long_tests.deselect(config, items)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset them all: a desk may have a PORT, and MLflow's client leaves its tracking URI in the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> auto.PulumiCommand:
    """The real Pulumi engine."""
    from pulumi import automation as auto  # noqa: PLC0415  # most tests need none of it

    built = subprocess.run([ENGINE], capture_output=True, text=True, check=False)
    if built.returncode == NO_GO and os.environ.get("CI") != "true":
        pytest.skip("the Pulumi engine is missing, and Go to build it: see tests/tools/engine.sh")
    assert built.returncode == 0, built.stderr
    # The Automation API looks for it in a folder of this shape.
    root = tmp_path_factory.mktemp("engine")
    (root / "bin").mkdir()
    (root / "bin" / "pulumi").symlink_to(built.stdout.strip())
    return auto.PulumiCommand(str(root))
