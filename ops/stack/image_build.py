"""Builds the project's own images, for ``churn images build``.

Any tool that takes docker's arguments works (docker, podman, buildah), so nobody needs a particular one.
"""

# ruff: noqa: S603 - the commands are those that the user asked for, found on PATH
from __future__ import annotations

import re
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
from ops.stack import content
from ops.stack.checkout import stack_config

IMAGES: Final = f"{PROJECT}:images"
TOOLS: Final = ("docker build", "podman build", "buildah bud")
"""Build commands to try in this order, if none is named."""
_BUILDX: Final = re.compile(r"docker/buildx v?(\d+)\.(\d+)")
_ATTESTING: Final = (0, 10)
"""The first buildx that attests, and that can be told not to."""


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
    settings = ImageSettings.model_validate(stack_config(stack, root)[IMAGES])
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


def without_attestations(tool: Sequence[str]) -> list[str]:
    """Return the option with which docker's BuildKit adds no attestations to an image; empty for every other builder.

    With docker 29's image store they make an index of the image, whose parts `docker save` leaves out and nodes look
    for in vain (kubernetes-sigs/kind 3795, containerd/containerd 11344). Podman, buildah and docker's old builder
    attest nothing and refuse the option, as buildx before 0.10 does.
    """
    if Path(tool[0]).name != "docker":
        return []
    answer = subprocess.run([tool[0], "buildx", "version"], capture_output=True, text=True, check=False)
    version = _BUILDX.search(answer.stdout) if answer.returncode == 0 else None
    return ["--provenance=false"] if version and tuple(map(int, version.groups())) >= _ATTESTING else []


def command(tool: Sequence[str], build: Build, root: Path) -> list[str]:
    """Return the command line that builds one image; the folder comes last, since buildah takes no option after it."""
    return [
        *tool,
        "-f", str(root / "Dockerfile"),
        "--target", build.target,
        "-t", build.image,
        "--build-arg", f"VERSION={build.image.rpartition(':')[2]}",
        "--build-arg", f"REVISION={content.revision(root)}",
        *without_attestations(tool),
        str(root),
    ]  # fmt: skip


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
