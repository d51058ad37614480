"""``churn images`` against a stand-in of an OCI registry on loopback, with the token login that public ones have."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from support.listening import Listening, QuietHandler, http
from support.recorder import own_image
from typer.testing import CliRunner, Result

from infra import versions
from ops.cli import main as cli
from ops.errors import OpsError
from ops.stack import images
from ops.stack.images import Reference

LOGIN = base64.b64encode(b"robot:its-password").decode()


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Registry(Listening):
    """Public repositories for whoever brings a token; `private/` ones, and all if `basic`, only with a login."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.accepted: list[str] = []
        self.basic = False
        registry = self

        class Handler(QuietHandler):
            def do_HEAD(self) -> None:
                registry.manifest(self)

            def do_GET(self) -> None:
                registry.token(self)

        super().__init__(http(Handler))
        self.host = self.address
        self.realm = f"http://{self.host}/token"

    def manifest(self, request: BaseHTTPRequestHandler) -> None:
        _, _, *repository, _, tag = request.path.split("/")
        name = "/".join(repository)
        scope = f"repository:{name}:pull"
        status, headers = self.answers.get(name, (0, {}))
        if self.basic and request.headers.get("Authorization") != f"Basic {LOGIN}":
            status, headers = 401, {"WWW-Authenticate": 'Basic realm="registry"'}
        elif not self.basic and request.headers.get("Authorization") != f"Bearer token for {scope}":
            status = 401
            headers = {"WWW-Authenticate": f'Bearer realm="{self.realm}",service="registry",scope="{scope}"'}
        elif not status and f"{name}:{tag}" in self.digests:
            self.accepted.append(request.headers["Accept"])
            status, headers = 200, {"Docker-Content-Digest": self.digests[f"{name}:{tag}"]}
        request.send_response(status or 404)
        for key, value in headers.items():
            request.send_header(key, value)
        request.end_headers()

    def token(self, request: BaseHTTPRequestHandler) -> None:
        asked = parse_qs(urlsplit(request.path).query)
        (scope,) = asked["scope"]
        assert asked["service"] == ["registry"]
        allowed = "private/" not in scope or request.headers.get("Authorization") == f"Basic {LOGIN}"
        request.send_response(200 if allowed else 401)
        request.end_headers()
        request.wfile.write(json.dumps({"token": f"token for {scope}"}).encode())


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture
def lock_file(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two public images in the stand-in, one of them in a folder of folders, and a lock file of the test's own."""
    registry.digests = {"tools/db:15": digest("db"), "a/b/c:v1.2": digest("c")}
    path = tmp_path / "images.lock.json"
    public = {name: f"{registry.host}/{name}" for name in registry.digests}
    monkeypatch.setattr(images, "PUBLIC", public)
    monkeypatch.setattr(versions, "LOCK_FILE", path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return path


def churn(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["images", *arguments])


def test_lock_writes_every_digest_sorted(registry: Registry, lock_file: Path) -> None:
    result = churn("lock")
    assert result.exit_code == 0, result.output
    expected = {f"{registry.host}/a/b/c:v1.2": digest("c"), f"{registry.host}/tools/db:15": digest("db")}
    assert lock_file.read_text() == json.dumps(expected, indent=2) + "\n"
    assert [path.name for path in lock_file.parent.iterdir()] == [lock_file.name]
    assert "2 images are locked in images.lock.json, 2 of them changed" in result.output
    assert registry.accepted[0].startswith("application/vnd.oci.image.index.v1+json, ")


def test_check_changes_nothing_and_names_what_changed(registry: Registry, lock_file: Path) -> None:
    churn("lock")
    assert churn("lock", "--check").exit_code == 0
    before = lock_file.read_bytes()
    registry.digests["tools/db:15"] = digest("moved")
    result = churn("lock", "--check")
    assert result.exit_code == 1
    assert f"{registry.host}/tools/db:15: {digest('db')} in the lock file, {digest('moved')} now" in str(
        result.exception
    )
    assert "a/b/c" not in str(result.exception)
    assert lock_file.read_bytes() == before


def test_list_shows_which_images_are_locked(registry: Registry, lock_file: Path) -> None:
    lock_file.write_text(json.dumps({f"{registry.host}/tools/db:15": digest("db")}))
    shown = {item["image"]: item for item in json.loads(churn("list", "--json").output)}
    assert shown[f"{registry.host}/tools/db:15"]["digest"] == digest("db")
    assert shown[f"{registry.host}/a/b/c:v1.2"]["digest"] is None
    assert shown["churn/api:0.1.0"]["stacks"] == "prod, staging"
    assert shown[own_image("dev", "api")]["stacks"] == "dev"
    assert "not locked" in churn("list").output


def test_a_lock_without_our_images_keeps_theirs_and_drops_what_nobody_uses(registry: Registry, lock_file: Path) -> None:
    lock_file.write_text(json.dumps({"churn/api:0.1.0": digest("api"), "quay.io/gone/away:v1": digest("gone")}))
    assert churn("lock").exit_code == 0
    held = json.loads(lock_file.read_text())
    assert held["churn/api:0.1.0"] == digest("api")
    assert "quay.io/gone/away:v1" not in held
    assert len(held) == len(registry.digests) + 1


@pytest.mark.parametrize("basic", [False, True], ids=["for a token", "itself"])
def test_our_images_are_asked_for_with_the_stored_login(
    registry: Registry, lock_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, basic: bool
) -> None:
    registry.basic = basic
    ours = f"{registry.host}/private/api:7"
    monkeypatch.setattr(images, "own_images", lambda _root: {ours: ["prod"]})
    registry.digests["private/api:7"] = digest("api")
    refused = churn("lock", "--own")
    assert refused.exit_code == 1
    assert f"docker login {registry.host}" in str(refused.exception)
    assert not lock_file.exists()
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": LOGIN}}}))
    assert churn("lock", "--own").exit_code == 0
    assert json.loads(lock_file.read_text())[ours] == digest("api")


def test_nobody_is_asked_for_the_images_of_a_local_stack(
    registry: Registry, lock_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = f"{registry.host}/api:7"
    registry.digests["api:7"] = digest("api")
    monkeypatch.setattr(images, "own_images", lambda _root: {ours: ["prod"], own_image("dev", "api"): ["dev"]})
    result = churn("lock", "--own")
    assert result.exit_code == 0, result.exception
    assert json.loads(lock_file.read_text())[ours] == digest("api")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}), "has no tag '15' of tools/db: correct or push it"),
        ((403, {}), "or correct the name"),
        ((429, {}), "limits the rate: wait"),
        ((503, {}), "answered 503: try again later"),
        ((200, {"Docker-Content-Digest": "sha256:short"}), "gave 'sha256:short' for a digest"),
        ((302, {"Location": "http://registry.example/else"}), "http://registry.example/else is not https"),
    ],
)
def test_one_image_that_fails_is_named_with_the_remedy_and_nothing_is_written(
    registry: Registry, lock_file: Path, answer: tuple[int, dict[str, str]], reason: str
) -> None:
    registry.answers["tools/db"] = answer
    result = churn("lock")
    assert result.exit_code == 1
    message = str(result.exception)
    assert message.startswith("1 of 2 images have no digest:\n")
    assert f"{registry.host}/tools/db:15: {registry.host} " in message
    assert reason in message
    assert not lock_file.exists()


def test_a_token_is_never_requested_over_plain_http(registry: Registry, lock_file: Path) -> None:
    registry.realm = "http://tokens.example/token"
    result = churn("lock")
    assert "http://tokens.example/token?service=registry" in str(result.exception)
    assert "is not https" in str(result.exception)
    assert not lock_file.exists()


def test_a_registry_that_does_not_answer_is_named() -> None:
    with pytest.raises(OpsError, match=r"127\.0\.0\.1:1 gave no usable answer .*: look at the network"):
        images.look_up(["127.0.0.1:1/tools/db:15"])


def test_a_registry_that_never_finishes_is_given_up(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ALL_SECONDS", 0.0)
    with pytest.raises(OpsError, match="gave no usable answer \\(TimeoutError\\)"):
        images.look_up([f"{registry.host}/tools/db:15"])


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("docker.io/library/postgres:15.18-alpine", "https://registry-1.docker.io/v2/library/postgres/manifests/15.18-alpine"),
        ("postgres:15", "https://registry-1.docker.io/v2/library/postgres/manifests/15"),
        ("churn/api:0.1.0", "https://registry-1.docker.io/v2/churn/api/manifests/0.1.0"),
        ("quay.io/prometheus/prometheus:v3", "https://quay.io/v2/prometheus/prometheus/manifests/v3"),
        ("registry.example:5000/a/b/c:1", "https://registry.example:5000/v2/a/b/c/manifests/1"),
        ("churn.invalid/api:1", "https://churn.invalid/v2/api/manifests/1"),
        ("localhost:5000/a:1", "http://localhost:5000/v2/a/manifests/1"),
        ("127.0.0.1.example/a:1", "https://127.0.0.1.example/v2/a/manifests/1"),
    ],
)  # fmt: skip
def test_a_reference_is_read_as_container_runtimes_do(text: str, url: str) -> None:
    assert Reference.parse(text).url == url


def test_every_public_image_has_a_registry_and_a_tag() -> None:
    for image in images.public_images():
        reference = Reference.parse(image)
        assert image == f"{reference.registry}/{reference.repository}:{reference.tag}"
        assert reference.tag != "latest"
