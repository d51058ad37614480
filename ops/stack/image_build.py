"""Building the project's own images, and making them known to a local cluster: what ``churn images build`` does.

Any tool that takes docker's arguments will do (docker, podman, buildah), so that nobody needs a particular one.
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
from ops.stack.recording import stack_config

TOOLS: Final = ("docker build", "podman build", "buildah bud")
"""Commands that are looked for where none is named, in this order."""
LOADERS: Final = {
    "kind-": "kind load docker-image --name {name}",
    "minikube": "minikube image load",
    "k3d-": "k3d image import --cluster {name}",
}
"""How an image gets into a local cluster, by the beginning of its context's name; ``{name}`` is the rest."""
SHARED: Final = ("docker-desktop", "orbstack", "rancher-desktop", "colima")
"""Contexts of clusters that run what docker has built."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One image to be made: a target of the Dockerfile under the name that a stack runs."""

    target: str
    image: str


def builds(stack: str, root: Path, targets: Sequence[str] = (), tag: str = "") -> list[Build]:
    """The images of a stack; ``targets`` are those that are wanted, ``tag`` replaces the stack's own.

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
    """The words of the build command: the named one, or the first that is installed.

    Raises:
        OpsError: there is none.
    """
    for tool in [named] if named else TOOLS:
        words = shlex.split(tool)
        if words and shutil.which(words[0]):
            return words
    looked = repr(named) if named else ", ".join(repr(tool) for tool in TOOLS)
    raise OpsError(f"nothing here builds images (looked for {looked}): install docker, or name a command with --tool")


def revision(root: Path) -> str:
    """The commit that the images are of; a change that is not committed is said."""
    done = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def command(tool: Sequence[str], build: Build, root: Path) -> list[str]:
    """The command line that makes one image."""
    return [
        *tool, str(root),
        "-f", str(root / "Dockerfile"),
        "--target", build.target,
        "-t", build.image,
        "--build-arg", f"VERSION={build.image.rpartition(':')[2]}",
        "--build-arg", f"REVISION={revision(root)}",
    ]  # fmt: skip


def loader(context: str, named: str) -> list[str] | None:
    """The command that takes images into the cluster of a context; None where the cluster has them already.

    Raises:
        OpsError: nobody knows how, for this kind of cluster.
    """
    if named:
        return shlex.split(named)
    if context.startswith(SHARED):
        return None
    for beginning, words in LOADERS.items():
        if context.startswith(beginning):
            return shlex.split(words.format(name=context.removeprefix(beginning)))
    raise OpsError(
        f"how images get into the cluster of context {context!r} is not known: name a command with --load "
        "(it is called with the images), or `--load true` if the cluster finds them itself"
    )


def run(words: Sequence[str], say: Callable[[str], None]) -> None:
    """Run a command in plain sight.

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
