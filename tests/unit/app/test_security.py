from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from support.api import Api
from support.bundles import write_keys

from app import key_watch
from app.security import MAX_KEY_BYTES, KeyFileError, KeyStore, hash_key, new_key, parse_key_file

_HASH = "a" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def _write(path: Path, *entries: dict[str, Any]) -> None:
    path.write_text(json.dumps({"keys": list(entries)}))
    # Two writes within one tick of the file system's clock must not look like one.
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000 * len(path.read_bytes())))


def _entry(key_id: str, *hashes: str, **more: Any) -> dict[str, Any]:
    return {"id": key_id, "sha256": list(hashes), "scopes": ["predict"]} | more


def test_a_new_key_is_long_random_and_stored_only_as_its_sha256() -> None:
    key, digest = new_key("shop")
    assert key.startswith("shop.")
    assert len(key) == len("shop.") + 43
    assert digest == hash_key(key) == hashlib.sha256(key.encode()).hexdigest()
    assert new_key("shop")[0] != key


def test_the_right_key_is_found_with_its_scopes_and_rate(path: Path) -> None:
    keys = write_keys(path, {"shop": ["predict"], "ops": ["predict", "admin"]}, rates={"ops": "5/second"})
    store = KeyStore(path)
    shop, ops = store.find(keys["shop"].encode()), store.find(keys["ops"].encode())
    assert shop is not None
    assert ops is not None
    assert (shop.id, set(shop.scopes), shop.rate_limit) == ("shop", {"predict"}, None)
    assert (ops.id, set(ops.scopes), ops.rate_limit) == ("ops", {"predict", "admin"}, "5/second")


def test_no_other_key_is_found(path: Path) -> None:
    keys = write_keys(path, {"shop": ["predict"], "ops": ["admin"]})
    store = KeyStore(path)
    key = keys["shop"].encode()
    wrong = [
        b"",
        b".",
        b"shop",
        b"shop.",
        key[:-1],
        key + b"x",
        key.upper(),
        b" " + key,
        b"ops." + key.partition(b".")[2],
        key.replace(b"shop", b"shoq"),
        hash_key(keys["shop"]).encode(),
        "schlüssel.ÿ".encode(),
        b"\xff\xfe.\x00",
    ]
    assert [store.find(k) for k in wrong] == [None] * len(wrong)


def test_an_over_long_key_is_refused_before_it_is_hashed(path: Path) -> None:
    long = "shop." + "x" * (MAX_KEY_BYTES - len("shop."))
    _write(path, _entry("shop", hash_key(long), hash_key(long + "x")))
    store = KeyStore(path)
    assert store.find(long.encode()) is not None
    assert store.find(long.encode() + b"x") is None


def test_two_keys_are_valid_at_once_and_the_old_one_ends_with_the_rotation(path: Path) -> None:
    (old, old_hash), (new, new_hash) = new_key("shop"), new_key("shop")
    _write(path, _entry("shop", old_hash))
    store = KeyStore(path)
    assert (store.find(old.encode()) is not None, store.find(new.encode())) == (True, None)
    _write(path, _entry("shop", old_hash, new_hash))
    assert store.refresh()
    assert store.find(old.encode()) == store.find(new.encode()) != None  # noqa: E711  # both the same principal
    _write(path, _entry("shop", new_hash))
    assert store.refresh()
    assert store.find(old.encode()) is None
    assert store.find(new.encode()) is not None


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keys(path, {"shop": ["predict"]})
    store = KeyStore(path)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
    assert not store.refresh()


@pytest.mark.parametrize("broken", [b"", b"{", b'{"keys": [{"id": "x"}]}', b'{"keys": [], "more": 1}'])
def test_a_broken_new_file_leaves_the_old_keys_in_force(path: Path, broken: bytes) -> None:
    keys = write_keys(path, {"shop": ["predict"]})
    store = KeyStore(path)
    path.write_bytes(broken)
    with pytest.raises(KeyFileError, match=path.name):
        store.refresh()
    assert store.find(keys["shop"].encode()) is not None
    assert not store.refresh()  # logged once, not every second
    newer = write_keys(path, {"shop": ["predict"]})
    assert store.refresh()
    assert store.find(newer["shop"].encode()) is not None
    assert store.find(keys["shop"].encode()) is None


def test_a_file_that_disappears_and_returns_unchanged_is_in_force_again(path: Path) -> None:
    keys = write_keys(path, {"shop": ["predict"]})
    store = KeyStore(path)
    away = path.rename(path.with_suffix(".away"))
    with pytest.raises(KeyFileError, match="No such file"):
        store.refresh()
    assert store.find(keys["shop"].encode()) is not None
    away.rename(path)
    assert store.refresh()


def test_the_hashes_of_every_entry_are_compared_to_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def spy(digest: str, expected: str) -> bool:
        compared.append(expected)
        return real(digest, expected)

    real = hmac.compare_digest
    key, digest = new_key("shop")
    _write(path, _entry("shop", digest, _HASH))
    store = KeyStore(path)
    monkeypatch.setattr(hmac, "compare_digest", spy)
    for sent, expected in ((key, [digest, _HASH]), ("shop.wrong", [digest, _HASH]), ("nobody.wrong", ["0" * 64])):
        compared.clear()
        store.find(sent.encode())
        assert compared == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (_entry("shop", "abc"), "keys.0.sha256.0: String should match pattern"),
        (_entry("shop", _HASH.upper()), "keys.0.sha256.0: String should match pattern"),
        (_entry("shop"), "keys.0.sha256: List should have at least 1 item"),
        (_entry("shop", _HASH, _HASH, _HASH), "keys.0.sha256: List should have at most 2 items"),
        (_entry("Shop", _HASH), "keys.0.id: String should match pattern"),
        (_entry("shop.one", _HASH), "keys.0.id: String should match pattern"),
        (_entry("x" * 33, _HASH), "keys.0.id: String should match pattern"),
        (_entry("shop", _HASH, scopes=[]), "keys.0.scopes: List should have at least 1 item"),
        (
            _entry("shop", _HASH, scopes=["root"]),
            "keys.0.scopes.0: Input should be admin, predict, or predict:NAME for one model",
        ),
        (_entry("shop", _HASH, rate_limit="fast"), "keys.0.rate_limit: 'fast' is not a rate limit; write"),
        (_entry("shop", _HASH, note="x"), "keys.0.note: Extra inputs are not permitted"),
    ],
)
def test_an_invalid_key_file_says_where(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        parse_key_file(json.dumps({"keys": [entry]}).encode())
    assert str(caught.value).startswith(message)
    assert _HASH not in str(caught.value)


def test_an_id_that_occurs_twice_is_refused_with_the_remedy() -> None:
    data = json.dumps({"keys": [_entry("shop", _HASH), _entry("shop", _HASH)]}).encode()
    with pytest.raises(KeyFileError, match="a key id occurs twice: put both hashes into one entry's sha256 list"):
        parse_key_file(data)


def test_a_missing_key_file_is_named(path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"keys\.json: No such file or directory"):
        KeyStore(path)


@pytest.mark.anyio
async def test_the_file_is_watched_and_its_state_reported(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    turns = iter([b"broken", None, "new"])
    new: dict[str, str] = {}
    valid: list[float | None] = []

    async def step(_: float) -> None:
        valid.append(api.sample("churn_api_keys_file_valid"))
        turn = next(turns, "stop")
        if turn == "stop":
            raise asyncio.CancelledError
        if isinstance(turn, bytes):
            (tmp_path / "keys.json").write_bytes(turn)
        elif turn == "new":
            new.update(write_keys(tmp_path / "keys.json", {"client": ["predict"]}))

    store = api.service.keys
    assert store is not None
    monkeypatch.setattr(asyncio, "sleep", step)
    with caplog.at_level(logging.INFO), pytest.raises(asyncio.CancelledError):
        await key_watch.watch_keys(api.service)
    assert valid == [1, 0, 0, 1]
    assert store.find(new["client"].encode()) is not None
    messages = [r.message for r in caplog.records if r.name == "app.key_watch"]
    assert len(messages) == 2
    assert messages[0].startswith("the old API keys stay in force:")
    assert messages[1] == "new API keys are in force"
    assert not any(hash_key(k) in m or k in m for k in (*api.keys.values(), *new.values()) for m in messages)
