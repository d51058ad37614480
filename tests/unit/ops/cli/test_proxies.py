"""A proxy set in the environment is not asked for what runs on this machine."""

import pytest
from httpx._utils import get_environment_proxies

from ops.cli import main as cli


@pytest.mark.parametrize("inherited", [None, "example.com"])
def test_loopback_is_reached_directly(monkeypatch: pytest.MonkeyPatch, inherited: str | None) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "") if inherited is None else monkeypatch.setenv(name, inherited)
    cli._keep_loopback_direct()
    mounts = get_environment_proxies()
    assert mounts["http://"] == "http://proxy.example.com:3128"
    assert mounts["all://127.0.0.1"] is None
    assert mounts["all://localhost"] is None
    if inherited:
        assert mounts[f"all://*{inherited}"] is None
