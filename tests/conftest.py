"""For every test: a setting of the API comes from the test, not from the environment it runs in."""

from __future__ import annotations

import pytest

from app.settings import Settings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset them all: a desk may have a PORT, and MLflow's client leaves its tracking URI in the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
