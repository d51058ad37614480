"""How the registry client handles every answer that a server may give."""

from __future__ import annotations

import asyncio
import base64
import gzip
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.damage import flip_byte
from support.fake_mlflow import FakeMlflow
from support.overrides import override

from app.bundle import (
    BUNDLE_FILES,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MODEL,
    OVERRIDE,
    OVERRIDE_TAG,
    BundleError,
    NoAnswerError,
    digest,
    sha256,
)
from app.registry import Registry
from app.settings import Settings

pytestmark = pytest.mark.anyio

_ALIAS = "registered-models/alias"
_WHERE = "get-download-uri"


@pytest.fixture
def mlflow(bundle: Path) -> FakeMlflow:
    return FakeMlflow(versions={"3": bundle}, alias="3")


def _settings(**more: Any) -> Settings:
    return Settings(auth="off", mlflow_tracking_uri="http://mlflow:5000/", **more)


@pytest.fixture
def registry(mlflow: FakeMlflow) -> Registry:
    return mlflow.registry(_settings())


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_the_alias_is_resolved_and_its_bundle_downloaded(
    registry: Registry, mlflow: FakeMlflow, bundle: Path, tmp_path: Path
) -> None:
    registered = await registry.resolve()
    assert registered.version == "3"
    assert registered.manifest_sha256 == sha256((bundle / MANIFEST).read_bytes())
    assert registered.artifact_path == "models/3/artifacts"
    await registry.download(registered, tmp_path)
    assert mlflow.downloads[0] == MANIFEST
    assert _names(tmp_path) == {MANIFEST, *BUNDLE_FILES}
    for name in BUNDLE_FILES:
        assert digest(tmp_path / name) == digest(bundle / name)
    await registry.close()


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, "check the user's permissions, and --allowed-hosts"),
        (404, "no such model, alias or version"),
        (302, "see the MLflow server's log"),
        (500, "see the MLflow server's log"),
        (503, "see the MLflow server's log"),
    ],
)
@pytest.mark.parametrize("call", [_ALIAS, _WHERE])
async def test_a_refusal_comes_with_a_hint(
    registry: Registry, mlflow: FakeMlflow, call: str, status: int, hint: str
) -> None:
    mlflow.answer(call, status, json={"message": "inner detail"})
    with pytest.raises(NoAnswerError, match=f"MLflow answered {status} for ") as caught:
        await registry.resolve()
    assert hint in str(caught.value)
    assert "churn" in str(caught.value)


async def test_an_alias_that_does_not_exist_is_named(registry: Registry, mlflow: FakeMlflow) -> None:
    mlflow.alias = None
    with pytest.raises(NoAnswerError, match="production"):
        await registry.resolve()


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")])
async def test_a_server_that_does_not_answer_is_named(registry: Registry, mlflow: FakeMlflow, error: Exception) -> None:
    mlflow.fail(error)
    with pytest.raises(NoAnswerError) as caught:
        await registry.resolve()
    assert str(caught.value) == f"no answer from MLflow at http://mlflow:5000: {type(error).__name__}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>login</html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"model_version": null}',
        b'{"model_version": []}',
        b'{"model_version": "3"}',
        b'{"model_version": {"version": "3", "tags": null}}',
        b'{"model_version": {"version": "3", "tags": ["x"]}}',
        b'{"model_version": {"version": "3", "tags": [{"key": []}]}}',
        b'{"model_version": {"version": "3", "tags": [{"key": [], "value": 1}]}}',
        b'{"model_version": {"version": "../3"}}',
        '{"model_version": {"version": "³"}}'.encode(),
        b'{"model_version": {"version": "1' + b"0" * 30 + b'"}}',
        b'{"model_version": {"version": null}}',
        b'{"model_version": {"version": "3"}, "more": "' + b"x" * 2 * MAX_MANIFEST_BYTES + b'"}',
    ],
    ids=lambda content: repr(content[:60]),
)
async def test_an_answer_of_the_wrong_form_is_refused(registry: Registry, mlflow: FakeMlflow, content: bytes) -> None:
    mlflow.answer(_ALIAS, content=content)
    with pytest.raises(NoAnswerError):
        await registry.resolve()


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"artifact_uri": None}, {"artifact_uri": "s3://bucket/x"}, {"artifact_uri": "/local/path"},
     {"artifact_uri": "mlflow-artifacts:/a\0b"}, {"artifact_uri": "mlflow-artifacts://host:port:x/y"}],
)  # fmt: skip
async def test_artifacts_out_of_reach_are_refused(registry: Registry, mlflow: FakeMlflow, answer: Any) -> None:
    mlflow.answer(_WHERE, json=answer)
    with pytest.raises(NoAnswerError):
        await registry.resolve()


async def test_artifacts_in_a_bucket_get_the_remedy(registry: Registry, mlflow: FakeMlflow) -> None:
    mlflow.answer(_WHERE, json={"artifact_uri": "s3://bucket/x"})
    with pytest.raises(
        NoAnswerError, match="are at s3:, out of reach for the API; run the tracking server with --serve"
    ):
        await registry.resolve()


async def test_an_override_is_downloaded_with_its_version_and_only_as_registered(
    registry: Registry, mlflow: FakeMlflow, bundle: Path, tmp_path: Path
) -> None:
    mlflow.versions["3"] = shutil.copytree(bundle, tmp_path / "overridden")
    mlflow.more_tags["3"] = {OVERRIDE_TAG: override(mlflow.versions["3"], [])}
    registered = await registry.resolve()
    (tmp_path / "whole").mkdir()
    await registry.download(registered, tmp_path / "whole")
    assert _names(tmp_path / "whole") == {MANIFEST, OVERRIDE, *BUNDLE_FILES}
    flip_byte(mlflow.versions["3"] / OVERRIDE)
    (tmp_path / "edited").mkdir()
    with pytest.raises(BundleError, match=r"override\.json: its sha256 is not the registered one \(override_sha256\)"):
        await registry.download(registered, tmp_path / "edited")
    assert _names(tmp_path / "edited") == {MANIFEST}


@pytest.mark.parametrize("tag", ["x", "A" * 64, "a" * 63, "a" * 64 + "\n"])
async def test_a_version_without_a_digest_is_refused_with_the_remedy(
    registry: Registry, mlflow: FakeMlflow, tag: str, tmp_path: Path
) -> None:
    mlflow.tags["3"] = tag
    with pytest.raises((BundleError, NoAnswerError), match=r"manifest_sha256: register it with `churn train`"):
        await registry.download(await registry.resolve(), tmp_path)
    assert mlflow.downloads == []


@pytest.mark.parametrize("name", [MANIFEST, *BUNDLE_FILES])
@pytest.mark.parametrize(
    ("status", "content"), [(404, b""), (200, b""), (200, b"x"), (200, b"x" * 2 * MAX_MANIFEST_BYTES)]
)
async def test_an_artifact_that_is_not_the_registered_one_is_refused(
    mlflow: FakeMlflow, tmp_path: Path, name: str, status: int, content: bytes
) -> None:
    registry = mlflow.registry(_settings())
    registered = await registry.resolve()
    mlflow.answer(name, status, content=content)
    with pytest.raises(BundleError, match=f"^{name}: "):
        await registry.download(registered, tmp_path)
    assert not (tmp_path / name).exists()


async def test_an_oversize_artifact_is_not_read_to_its_end(
    registry: Registry, mlflow: FakeMlflow, tmp_path: Path
) -> None:
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65_536
                yield b"\0" * 65_536

    registered = await registry.resolve()
    mlflow.overrides[MODEL] = lambda _: httpx.Response(200, stream=Endless())
    with pytest.raises(BundleError, match=r"model\.onnx: larger than the \d+ bytes it may have"):
        await registry.download(registered, tmp_path)
    assert sent < 10 * MAX_MANIFEST_BYTES


async def test_a_compressed_answer_is_not_unpacked_without_end(
    registry: Registry, mlflow: FakeMlflow, tmp_path: Path
) -> None:
    registered = await registry.resolve()
    bomb = gzip.compress(b"\0" * 20 * MAX_MANIFEST_BYTES)
    mlflow.overrides[MANIFEST] = lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, content=bomb)
    with pytest.raises(BundleError, match=r"manifest\.json: larger than"):
        await registry.download(registered, tmp_path)


@pytest.mark.parametrize("end", [_ALIAS, MANIFEST])
async def test_a_server_that_sends_byte_by_byte_times_out(mlflow: FakeMlflow, tmp_path: Path, end: str) -> None:
    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(200):
                await asyncio.sleep(0.005)
                yield b" "

    registry = mlflow.registry(_settings(registry_timeout_seconds=0.05))
    registered = await registry.resolve()
    mlflow.overrides[end] = lambda _: httpx.Response(200, stream=Drip())
    with pytest.raises(NoAnswerError, match="no answer from MLflow at http://mlflow:5000: TimeoutError"):
        await (registry.resolve() if end == _ALIAS else registry.download(registered, tmp_path))


@pytest.mark.parametrize("status", [401, 403, 500, 502])
async def test_a_server_that_fails_during_the_download_does_not_refuse_the_model(
    registry: Registry, mlflow: FakeMlflow, tmp_path: Path, status: int
) -> None:
    registered = await registry.resolve()
    mlflow.answer(MODEL, status, content=b"")
    with pytest.raises(NoAnswerError, match=rf"MLflow answered {status} for artifact model\.onnx"):
        await registry.download(registered, tmp_path)


def _basic(request: httpx.Request) -> str | None:
    header = request.headers.get("authorization")
    return None if header is None else base64.b64decode(header.removeprefix("Basic ")).decode()


async def test_credentials_from_the_environment_are_sent_with_every_call(mlflow: FakeMlflow, tmp_path: Path) -> None:
    registry = mlflow.registry(_settings(mlflow_tracking_username="u", mlflow_tracking_password="p"))  # noqa: S106  # made up
    await registry.download(await registry.resolve(), tmp_path)
    assert len(mlflow.requests) == 7
    assert {_basic(r) for r in mlflow.requests} == {"u:p"}


async def test_credentials_in_a_folder_are_read_again(mlflow: FakeMlflow, tmp_path: Path) -> None:
    registry = mlflow.registry(_settings(mlflow_credentials_dir=tmp_path))
    with pytest.raises(NoAnswerError, match=r"MLflow credentials: No such file or directory: .*username"):
        await registry.resolve()
    for password in ("old", "new"):
        (tmp_path / "username").write_text("api\n")
        (tmp_path / "password").write_text(f"{password}\n")
        await registry.resolve()
    assert [_basic(r) for r in mlflow.requests] == ["api:old", "api:old", "api:new", "api:new"]


async def test_a_password_in_the_address_is_never_shown(mlflow: FakeMlflow) -> None:
    registry = mlflow.registry(Settings(auth="off", mlflow_tracking_uri="http://user:secret@mlflow:5000"))
    mlflow.answer(_ALIAS, content=b"no json")
    for _ in range(2):
        with pytest.raises(NoAnswerError) as caught:
            await registry.resolve()
        assert "secret" not in str(caught.value)
        assert "mlflow:5000" in str(caught.value)
        mlflow.fail(on=_ALIAS)
    assert _basic(mlflow.requests[0]) == "user:secret"


async def test_without_credentials_none_are_sent(registry: Registry, mlflow: FakeMlflow) -> None:
    await registry.resolve()
    assert {_basic(r) for r in mlflow.requests} == {None}
