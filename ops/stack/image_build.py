"""Builds the project's own images, for ``churn images build``, and loads them into a local cluster.

Any tool that takes docker's arguments works (docker, podman, buildah), so nobody needs a particular one.
"""

# ruff: noqa: S603, S607 - the commands are those that the user asked for, found on PATH
from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.config import ImageSettings
from infra.naming import PROJECT
from infra.versions import OWN, Images
from ops.errors import OpsError
from ops.stack.checkout import stack_config

TOOLS: Final = ("docker build", "podman build", "buildah bud")
"""Build commands to try in this order, if none is named."""
LOADERS: Final = {
    "kind-": "kind load docker-image --name {name}",
    "minikube": "minikube image load",
    "k3d-": "k3d image import --cluster {name}",
}
"""Command that loads an image into a local cluster, by the prefix of its context's name; ``{name}`` is the rest."""
SHARED: Final = ("docker-desktop", "orbstack", "rancher-desktop", "colima")
"""Contexts of clusters that share docker's images."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One image to build: a target of the Dockerfile, and the name under which a stack runs it."""

    target: str
    image: str


def builds(stack: str, root: Path, targets: Sequence[str] = (), tag: str = "") -> list[Build]:
    """Return the images to build for a stack; ``targets`` selects some of them, ``tag`` replaces the stack's own.

    Raises:
        OpsError: there is no such target.
    """
    unknown = sorted(set(targets) - set(OWN))
    if unknown:
        raise OpsError(f"there is no image {', '.join(unknown)}: the Dockerfile has {', '.join(OWN)}")
    settings = ImageSettings.model_validate(stack_config(stack, root)[f"{PROJECT}:images"])
    if tag:
        settings = settings.model_copy(update={"tag": tag})
    images = Images(settings=settings, digests={})
    return [Build(target=name, image=images.tagged(name)) for name in OWN if not targets or name in targets]


def find_tool(named: str) -> list[str]:
    """Return the words of the build command: the named one, or the first that is installed.

    Raises:
        OpsError: there is none.
    """
    for tool in [named] if named else TOOLS:
        words = shlex.split(tool)
        if words and shutil.which(words[0]):
            return words
    looked = repr(named) if named else ", ".join(repr(tool) for tool in TOOLS)
    raise OpsError(f"no image builder found (looked for {looked}): install docker, or name a command with --tool")


def revision(root: Path) -> str:
    """Return the commit that the images are built from, marked if there are uncommitted changes."""
    done = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def command(tool: Sequence[str], build: Build, root: Path) -> list[str]:
    """Return the command line that builds one image."""
    return [
        *tool, str(root),
        "-f", str(root / "Dockerfile"),
        "--target", build.target,
        "-t", build.image,
        "--build-arg", f"VERSION={build.image.rpartition(':')[2]}",
        "--build-arg", f"REVISION={revision(root)}",
    ]  # fmt: skip


def loader(context: str, named: str) -> list[str] | None:
    """Return the command that loads images into a context's cluster; None if the cluster shares docker's images.

    Raises:
        OpsError: the command is not known for this kind of cluster.
    """
    if named:
        return shlex.split(named)
    if context.startswith(SHARED):
        return None
    for prefix, words in LOADERS.items():
        if context.startswith(prefix):
            return shlex.split(words.format(name=context.removeprefix(prefix)))
    raise OpsError(
        f"no command is known that loads images into the cluster of context {context!r}: name one with --load "
        "(it is called with the image), or give `--load true` if the cluster needs none"
    )


def run(words: Sequence[str], say: Callable[[str], None]) -> None:
    """Print a command, then run it.

    Raises:
        OpsError: it failed, or there is no such program.
    """
    say(f"$ {shlex.join(words)}")
    try:
        done = subprocess.run(list(words), check=False)
    except FileNotFoundError:
        raise OpsError(f"{words[0]} is not installed") from None
    if done.returncode:
        raise OpsError(f"{shlex.join(words)} failed with exit code {done.returncode}")
