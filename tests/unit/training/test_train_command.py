"""``python -m training.train``: where the registry is looked for."""

import pytest

from training import train


@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        (None, [], "http://127.0.0.1:5000"),
        ("http://mlflow.example:5000", [], "http://mlflow.example:5000"),
        ("http://mlflow.example:5000", ["--tracking-uri", "http://other.example"], "http://other.example"),
    ],
)
def test_the_registry_comes_from_the_option_or_else_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: str | None, arguments: list[str], expected: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if environment:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
    assert train._parser().parse_args(["--data", "x.csv", *arguments]).tracking_uri == expected
