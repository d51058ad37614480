"""Looks up the digest of every image in its registry, for ``churn images``.

A tag can be moved to other content, a digest cannot. The lock file holds the digest that each tag had then, so that
every stack runs the content that was reviewed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from infra.config import ImageSettings
from infra.naming import PROJECT
from infra.versions import NO_HOST, OWN, PUBLIC, Images, registry_host
from ops.errors import OpsError
from ops.stack.checkout import stack_config, stack_names
from training.outputs import replaced

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
MANIFESTS: Final = (
    # An index first: its digest holds for every processor.
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DOCKER_HUB: Final = "docker.io"
DOCKER_HUB_API: Final = "registry-1.docker.io"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
REQUEST_SECONDS: Final = 10.0
ALL_SECONDS: Final = 60.0
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Reference:
    """An image by tag, split into the parts of a request to its registry."""

    registry: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Split a name as container runtimes do: without a registry, the image is on Docker Hub."""
        path, _, tag = text.rpartition(":")
        host = registry_host(path)
        if host is not None:
            return cls(host, path.removeprefix(f"{host}/"), tag)
        return cls(DOCKER_HUB, path if "/" in path else f"library/{path}", tag)

    @property
    def url(self) -> str:
        """Address of the manifest; plain HTTP only to this machine itself."""
        host = DOCKER_HUB_API if self.registry == DOCKER_HUB else self.registry
        scheme = "http" if urlsplit(f"//{host}").hostname in LOOPBACK else "https"
        return f"{scheme}://{host}/v2/{self.repository}/manifests/{self.tag}"


def own_images(root: Path) -> dict[str, list[str]]:
    """Return our own images as the stacks name them, and the stacks that use each."""
    users: dict[str, list[str]] = {}
    for stack in stack_names(root):
        settings = ImageSettings.model_validate(stack_config(stack, root)[f"{PROJECT}:images"])
        for name in OWN:
            users.setdefault(Images(settings=settings, digests={}).tagged(name), []).append(stack)
    return users


def published(images: Iterable[str]) -> list[str]:
    """Return those of some images that a registry can have; local stacks name theirs so that none has them."""
    return [image for image in images if not (registry_host(image) or "").endswith(NO_HOST)]


def public_images() -> list[str]:
    """Return every image that others publish."""
    return sorted(PUBLIC.values())


def locked(path: Path) -> dict[str, str]:
    """Read the lock file."""
    try:
        digests: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return digests


def write_lock(path: Path, digests: Mapping[str, str]) -> None:
    """Write the lock file, sorted and in one piece: a reader sees the old file or the new one."""
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(dict(sorted(digests.items())), indent=2) + "\n", encoding="utf-8")


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Describe each image whose lock is not up to date, in one line."""
    return [
        f"{name}: {old.get(name, 'not locked')} in the lock file, {new.get(name, 'no longer used')} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def look_up(images: Iterable[str]) -> dict[str, str]:
    """Look up the digests of images, asking all registries at once; returns them by image.

    Raises:
        OpsError: at least one has no digest; the message has a line for each of these.
    """
    return asyncio.run(_look_up(sorted(set(images))))


async def _only_https(request: httpx.Request) -> None:
    """Refuse plain HTTP for every request, redirects and tokens included: its answer could be anybody's."""
    if request.url.scheme != "https" and request.url.host not in LOOPBACK:
        raise httpx.UnsupportedProtocol(f"{request.url} is not https")


async def _look_up(images: Sequence[str]) -> dict[str, str]:
    async with httpx.AsyncClient(
        timeout=REQUEST_SECONDS, follow_redirects=True, max_redirects=3, event_hooks={"request": [_only_https]}
    ) as client:
        results = await asyncio.gather(*(_bounded(client, image) for image in images), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, OpsError):
            raise failure
    if failures:
        raise OpsError("\n".join([f"{len(failures)} of {len(images)} images have no digest:", *map(str, failures)]))
    return {image: str(digest) for image, digest in zip(images, results, strict=True)}


async def _bounded(client: httpx.AsyncClient, image: str) -> str:
    reference = Reference.parse(image)
    try:
        async with asyncio.timeout(ALL_SECONDS):
            return await _digest(client, reference, image)
    except (httpx.RequestError, TimeoutError, ValueError) as error:
        raise OpsError(
            f"  {image}: {reference.registry} gave no usable answer ({str(error) or type(error).__name__}): "
            "look at the network and its proxy, then try again"
        ) from None


async def _digest(client: httpx.AsyncClient, reference: Reference, image: str) -> str:
    headers = {"Accept": ", ".join(MANIFESTS)}
    answer = await client.head(reference.url, headers=headers)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        headers["Authorization"] = await _authorization(client, reference, image, answer)
        answer = await client.head(reference.url, headers=headers)
    if not answer.is_success:
        raise OpsError(f"  {image}: {_refusal(reference, answer.status_code)}")
    digest = answer.headers.get("Docker-Content-Digest", "")
    if not DIGEST.fullmatch(digest):
        raise OpsError(f"  {image}: {reference.registry} gave {digest!r} for a digest: it is not an OCI registry")
    return str(digest)


def _refusal(reference: Reference, status: int) -> str:
    match status:
        case httpx.codes.NOT_FOUND:
            return f"{reference.registry} has no tag {reference.tag!r} of {reference.repository}: correct or push it"
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return (
                f"{reference.registry} shows {reference.repository} to nobody without a login, or it does not exist: "
                f"`docker login {reference.registry}`, or correct the name"
            )
        case httpx.codes.TOO_MANY_REQUESTS:
            return f"{reference.registry} limits the rate: wait, or `docker login {reference.registry}`"
    return f"{reference.registry} answered {status}: try again later"


async def _authorization(client: httpx.AsyncClient, reference: Reference, image: str, answer: httpx.Response) -> str:
    """Return the header for a second try: a token from where the registry says, or the login if it wants that."""
    scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
    login = _login(reference.registry)
    if scheme.lower() == "basic" and login:
        return f"Basic {login}"
    challenge = dict(_CHALLENGE.findall(rest))
    if scheme.lower() != "bearer" or "realm" not in challenge:
        raise OpsError(f"  {image}: {_refusal(reference, answer.status_code)}")
    parameters = {key: challenge[key] for key in ("service",) if key in challenge}
    parameters["scope"] = challenge.get("scope") or f"repository:{reference.repository}:pull"
    headers = {"Authorization": f"Basic {login}"} if login else {}
    granted = await client.get(challenge["realm"], params=parameters, headers=headers)
    if not granted.is_success:
        raise OpsError(f"  {image}: {_refusal(reference, granted.status_code)}")
    body = granted.json()
    return f"Bearer {body.get('token') or body.get('access_token')}"


def _login(registry: str) -> str | None:
    """Return the login that `docker login` stored in its file, if any; credential helpers are not asked."""
    folder = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    try:
        logins = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get("auths", {})
    except (OSError, ValueError, AttributeError):
        return None
    name = "https://index.docker.io/v1/" if registry == DOCKER_HUB else registry
    login = logins.get(name, {}).get("auth")
    return str(login) if login else None
