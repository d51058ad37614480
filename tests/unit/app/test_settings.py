from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr, ValidationError
from redis.asyncio.connection import parse_url

from app import __main__ as process
from app.server import DrainingServer
from app.settings import Settings, from_environment


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(DrainingServer, "run", lambda _: pytest.fail("these settings were taken"))


def _critical(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(r.getMessage() for r in caplog.records if r.levelname == "CRITICAL")


def test_the_defaults_need_a_key_file(caplog: pytest.LogCaptureFixture) -> None:
    assert process.main() == 2
    assert "API_KEYS_FILE is not set: create a key with `churn key`, or set AUTH=off" in _critical(caplog)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("PORT", "http", "valid integer"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("MODEL_POLL_SECONDS", "0", "greater than 0"),
        ("MODEL_POLL_SECONDS", "nan", ""),
        ("MODEL_POLL_SECONDS", "7200", "less than or equal to 3600"),
        ("REGISTRY_TIMEOUT_SECONDS", "-1", "greater than 0"),
        ("AUTH", "none", "'required' or 'off'"),
        ("RATE_LIMIT", "fast", "'fast' is not a rate limit; write for example '100/second' or '1000/minute;20000/day'"),
        ("RATE_LIMIT", "", "'' is not a rate limit; write for example"),
        ("RATE_LIMIT", "10", "'10' is not a rate limit"),
        ("CACHE_TTL_SECONDS", "0", "greater than 0"),
        ("REDIS_TIMEOUT_SECONDS", "2", "less than or equal to 1"),
        ("MAX_BATCH_ROWS", "0", "greater than or equal to 1"),
        ("MAX_BATCH_ROWS", "100001", "less than or equal to 100000"),
        ("MAX_BODY_BYTES", "10", "greater than or equal to 1024"),
        ("BODY_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("BODY_TIMEOUT_SECONDS", "soon", "valid number"),
        ("MAX_CONCURRENCY", "0", "greater than or equal to 1"),
        ("DRAIN_SECONDS", "-1", "greater than or equal to 0"),
        ("LOG_REQUESTS", "perhaps", "valid boolean"),
    ],
)
def test_a_bad_value_names_its_variable_and_what_is_expected(
    name: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AUTH", "off")
    monkeypatch.setenv(name, value)
    assert process.main() == 2
    text = _critical(caplog)
    assert text.startswith(f"{name}: ")
    assert remedy in text


def test_all_bad_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("PORT", "MAX_CONCURRENCY"):
        monkeypatch.setenv(name, "x")
    assert process.main() == 2
    assert [line.partition(":")[0] for line in _critical(caplog).splitlines()] == ["PORT", "MAX_CONCURRENCY"]


def test_the_prediction_cache_needs_redis() -> None:
    with pytest.raises(ValidationError, match="PREDICTION_CACHE is on but REDIS_URL is not set"):
        Settings(auth="off", prediction_cache=True)


def test_settings_cannot_be_changed_and_do_not_show_secrets() -> None:
    settings = Settings(auth="off", redis_url="redis://:pass-1@h", mlflow_tracking_password="pass-2")  # noqa: S106  # made up
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # the attempt that must fail
    assert "pass-" not in repr(settings)


def test_a_missing_key_file_is_reported_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("API_KEYS_FILE", str(tmp_path / "none.json"))
    assert process.main() == 2
    assert _critical(caplog).startswith("API_KEYS_FILE: ")
    assert "none.json: No such file or directory" in _critical(caplog)


def test_a_folder_without_a_model_is_reported_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AUTH", "off")
    monkeypatch.setenv("MODEL_SOURCE", str(tmp_path))
    assert process.main() == 2
    assert _critical(caplog).startswith(f"MODEL_SOURCE {tmp_path}: manifest.json: No such file or directory")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = {"AUTH": "off", "PORT": "0", "RATE_LIMIT": "5/second;100/hour", "LOG_REQUESTS": "0"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.port, settings.rate_limit, settings.log_requests) == (0, "5/second;100/hour", False)
    json.dumps(settings.model_dump(mode="json"))


def test_settings_are_also_read_from_files_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis_url").write_text("redis://api:secret@cache:6379/0\n")
    (tmp_path / "port").write_text("1234")
    (tmp_path / "users.acl").write_text("user default off")
    for name, value in {"AUTH": "off", "PORT": "4321", "SETTINGS_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    settings = from_environment()
    assert settings.redis_url is not None
    assert (settings.redis_url.get_secret_value(), settings.port) == ("redis://api:secret@cache:6379/0", 4321)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_missing_settings_folder_is_reported_with_its_variable(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "settings"
    if kind == "file":
        folder.write_text("")
    monkeypatch.setenv("AUTH", "off")
    monkeypatch.setenv("SETTINGS_DIR", str(folder))
    assert process.main() == 2
    assert _critical(caplog).startswith("SETTINGS_DIR: Path does not point to a directory")


def test_a_settings_file_that_is_not_text_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "redis_url").write_bytes(b"\xff")
    monkeypatch.setenv("AUTH", "off")
    monkeypatch.setenv("SETTINGS_DIR", str(tmp_path))
    assert process.main() == 2
    assert _critical(caplog).startswith('SETTINGS_DIR: error getting value for field "redis_url"')


REDIS_URLS_MISREAD = {
    "number sign": "redis://api:hush#7@cache:6379/0",
    "slash": "redis://api:12/7hush@cache:6379/0",
    "question mark": "redis://api:12?db=7&x=hush@cache:6379/0",
    "opening bracket": "redis://api:hu[sh@cache:6379/0",
    "closing bracket": "redis://api:hu]sh@cache:6379/0",
    "at sign": "redis://api:hush@7@cache:6379/0",
    "percent sign": "redis://api:hush%7@cache:6379/0",
    "tab, which parsers of URLs remove": "redis://api:hu\tsh@cache:6379/0",
    "letter that is normalised to a slash": "redis://api:hush\u2100@cache:6379/0",
    "number sign, and no user": "redis://:hush#@cache:6379/0",
    "number sign after what looks like a port": "redis://api:12#hush@cache:6379/0",
    "database that is no number": "redis://api:hush@cache:6379/first",
    "port out of range": "redis://api:hush@cache:65536/0",
    "another scheme": "http://api:hush@cache:6379/0",
}


@pytest.mark.parametrize("source", ["variable", "file"])
@pytest.mark.parametrize("url", REDIS_URLS_MISREAD.values(), ids=REDIS_URLS_MISREAD)
def test_a_redis_url_that_parsers_misread_ends_the_start_with_one_line(
    url: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The line shows nothing of the password, of which a parser takes parts for the host (redis-py 1171)."""
    monkeypatch.setenv("AUTH", "off")
    if source == "variable":
        monkeypatch.setenv("REDIS_URL", url)
    else:
        (tmp_path / "redis_url").write_text(url, "utf-8")
        monkeypatch.setenv("SETTINGS_DIR", str(tmp_path))
    assert process.main() == 2
    line = _critical(caplog)
    assert line.startswith("REDIS_URL: ")
    assert "%23 for #" in line
    assert "\n" not in line
    assert not any(part in caplog.text for part in ("hu", "sh@", "api:1"))


def test_an_encoded_password_reaches_redis_as_it_is() -> None:
    password = "#/?[]@%: \t\u2100$&"  # noqa: S105 - made up
    url = f"redis://api:{quote(password, safe='')}@cache:6379/3"
    checked = Settings(auth="off", redis_url=SecretStr(url)).redis_url
    assert checked is not None
    expected = {"username": "api", "password": password, "host": "cache", "port": 6379, "db": 3}
    assert parse_url(checked.get_secret_value()) == expected


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://cache",
        "rediss://:a!b$c^d@cache.svc.cluster.local/",
        "valkeys://[::1]:6380/1?ssl_cert_reqs=none",
    ],
)
def test_any_other_redis_url_is_taken(url: str) -> None:
    assert Settings(auth="off", redis_url=SecretStr(url)).redis_url == SecretStr(url)
