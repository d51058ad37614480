"""The cache as it is deployed, with the users that a stack makes: the API can do its work there and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from support.bundles import random_customers
from support.servers import HOST, Api, Server, free_port, require_tool, wait_until

from infra.credentials import CACHE_COMMANDS, cache_users, sha256
from infra.workloads.cache import arguments, login_check

pytestmark = pytest.mark.service

PASSWORD = "of-the-test"  # noqa: S105 - made up
ONCE = Retry(NoBackoff(), 0)
HARMLESS = {"hello", "auth", "ping"}
"""Of the connection itself, and allowed to everybody."""


class Cache(Server):
    """The server with the arguments of the pod, but for its port and the place of its users."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        folder.mkdir(parents=True)
        users = folder / "users.acl"
        users.write_text(cache_users(sha256(PASSWORD)) + "user tester on nopass ~* &* +@all\n")
        program = require_tool("valkey-server", "redis-server")
        own = ["--port", str(port), "--bind", HOST, "--aclfile", str(users)]
        super().__init__([program, *arguments(16), *own], folder, port=port)
        self.url = f"redis://api:{PASSWORD}@{HOST}:{port}/0"

    def tester(self) -> redis.Redis:
        """A client that may look at everything."""
        return redis.Redis(host=HOST, port=self.port, username="tester", password="any")  # noqa: S106 - made up


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    with Cache(tmp_path_factory.mktemp("cache") / "server") as server:
        yield server


def test_the_api_can_do_all_of_its_work_with_its_login(server: Cache, bundles: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "login"
    folder.mkdir()
    (folder / "redis_url").write_text(server.url)
    settings: dict[str, Any] = {
        "model_source": bundles[0],
        "settings_dir": folder,
        "prediction_cache": True,
        "rate_limit": "5/second",
        "redis_timeout_seconds": 1,
    }
    customers = random_customers(5, seed=3)
    with server.tester() as tester, Api(tmp_path / "api", **settings) as api:
        # Until the window of the rate has moved on, which is its last command to be used.
        def moved() -> bool:
            for customer in customers:
                api.client.post("/v1/predict", json=customer)
            return "cmdstat_rename" in tester.info("commandstats")

        wait_until(moved, "the limiter has started a second window")
        metrics = api.metrics()
        assert metrics["churn_redis_up"] == 1
        for counter, outcome in (("prediction_cache", "hit"), ("prediction_cache", "miss"), ("rate_limit", "refused")):
            assert metrics[f'churn_{counter}_total{{outcome="{outcome}"}}'] > 0
        assert metrics['churn_prediction_cache_total{outcome="off"}'] == 0
        assert metrics["churn_rate_limit_alone_total"] == 0
        used = {name.removeprefix("cmdstat_") for name in tester.info("commandstats")}
        assert tester.acl_log() == []
    assert used - HARMLESS - {"info", "client|setinfo"} == set(CACHE_COMMANDS)


@pytest.fixture
def checked(server: Cache, tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """The pod's check of its secret, with an address of the API's file."""
    (tmp_path / "valkey-cli").symlink_to(require_tool("valkey-cli", "redis-cli"))
    path = f"{tmp_path}:/usr/bin:/bin"

    def check(url: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "redis_url").write_text(url)
        command = login_check(str(tmp_path / "redis_url"), server.port)
        return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)

    return check


def test_the_pod_is_ready_if_the_api_can_log_in_with_its_address(
    server: Cache, checked: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    answer = checked(server.url.replace(HOST, "cache.churn-serving.svc"))
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_password_that_was_changed_on_one_side_alone_is_named_and_not_shown(
    server: Cache, checked: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    for url in (server.url.replace(PASSWORD, "another"), server.url.replace(f"api:{PASSWORD}@", "")):
        answer = checked(url)
        assert answer.returncode == 1
        assert answer.stdout == "the secret cache-login contradicts itself: users.acl refuses the login in redis_url\n"
        assert "another" not in answer.stderr


def test_a_server_that_does_not_answer_is_no_contradiction(
    checked: Callable[[str], subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch, server: Cache
) -> None:
    monkeypatch.setattr(server, "port", free_port())
    answer = checked(server.url)
    assert (answer.returncode, answer.stdout) == (1, "the server does not answer PING\n")


FORBIDDEN: dict[str, Callable[[redis.Redis], object]] = {
    "other keys": lambda client: client.get("secret"),
    "writing other keys": lambda client: client.set("secret", "1"),
    "deleting": lambda client: client.delete("churn-score:1"),
    "listing keys": lambda client: client.keys("*"),
    "emptying": lambda client: client.flushall(),
    "configuring": lambda client: client.config_get("*"),
    "other scripts' keys": lambda client: client.evalsha(
        client.script_load("return redis.call('set', KEYS[1], 1)"), 1, "secret"
    ),
    "forbidden commands in scripts": lambda client: client.evalsha(
        client.script_load("return redis.call('keys', '*')"), 0
    ),
    "publishing": lambda client: client.publish("any", "1"),
    "users": lambda client: client.acl_list(),
    "ending connections": lambda client: client.client_kill("127.0.0.1:1"),
}


@pytest.mark.parametrize("action", FORBIDDEN.values(), ids=FORBIDDEN)
def test_the_api_may_do_nothing_else(server: Cache, action: Callable[[redis.Redis], object]) -> None:
    with (
        redis.Redis.from_url(server.url) as client,
        pytest.raises(redis.ResponseError, match=r"(?i)permission|can.t run this command"),
    ):
        action(client)


@pytest.mark.parametrize(
    ("user", "password"), [(None, None), ("default", ""), ("api", "wrong")], ids=["nobody", "default", "wrong password"]
)
def test_nobody_else_gets_in(server: Cache, user: str | None, password: str | None) -> None:
    with (
        redis.Redis(host=HOST, port=server.port, username=user, password=password, retry=ONCE) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.get("churn-score:1")
