"""Loads the project's own images from where they were built into the nodes of a local cluster.

kind's own `load docker-image` asks docker, or podman in newer releases, and never buildah; and what it saves may be an
index with parts that are missing. An archive of one image with one platform, under the very name that the pods ask for,
works with every builder and every release (kubernetes-sigs/kind 2027, 3795).
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.errors import OpsError
from ops.stack.image_build import Build, run

LOADERS: Final = {
    "kind-": "kind load image-archive --name {name} {archive}",
    "minikube": "minikube --profile {context} image load {archive}",
    "k3d-": "k3d image import --cluster {name} {archive}",
}
"""Command that loads an archive into a cluster, by the start of its context's name; ``{name}`` is the rest of it."""
SHARED: Final = ("docker-desktop", "orbstack", "rancher-desktop", "colima")
"""Contexts of clusters that run what docker has."""
SAVERS: Final = {
    "docker": "save --output {archive} {image}",
    "podman": "save --format docker-archive --output {archive} {image}",
    "buildah": "push {image} docker-archive:{archive}:{image}",
    "nerdctl": "save --output {archive} {image}",
}
"""How a builder writes one image to an archive, after the words that precede its subcommand."""
_SUBCOMMANDS: Final = {"build", "bud", "buildx", "builder", "image"}


@dataclass(frozen=True, kw_only=True)
class Loader:
    """How the images of one builder get into one cluster: a command called with each name, or an archive in between."""

    by_name: tuple[str, ...] = ()
    save: str = ""
    load: str = ""

    def commands(self, image: str, archive: Path) -> list[list[str]]:
        """Return the command lines that load an image; none if the cluster has it already."""
        if self.by_name:
            return [[*self.by_name, image]]
        words = {"image": image, "archive": str(archive)}
        return [[word.format(**words) for word in shlex.split(line)] for line in (self.save, self.load) if line]


def loader(context: str, named: str, tool: Sequence[str]) -> Loader:
    """Return how to load images that a tool built into the cluster of a context.

    Args:
        context: the name of the context, which tells the kind of cluster.
        named: the user's own command, which wins; it is called with the image.
        tool: the words of the build command.

    Raises:
        OpsError: no way is known for this kind of cluster and this tool.
    """
    if named:
        return Loader(by_name=tuple(shlex.split(named)))
    builder = Path(tool[0]).name
    if context.startswith(SHARED):
        if builder in {"docker", "nerdctl"}:
            return Loader()
        raise OpsError(
            f"the cluster of context {context!r} runs what docker has, and {builder} keeps its images elsewhere: build "
            "with --tool 'docker build', or name a command with --load"
        )
    line = next((line for beginning, line in LOADERS.items() if context.startswith(beginning)), None)
    if line is None:
        raise OpsError(
            f"no command is known that loads images into the cluster of context {context!r}: name one with --load "
            "(it is called with the image), or give `--load true` if the cluster needs none"
        )
    if builder not in SAVERS:
        raise OpsError(
            f"no command is known that saves an image which {builder} built: build with one of {', '.join(SAVERS)}, or "
            "name a command with --load (it is called with the image)"
        )
    before = tool[: next((place for place, word in enumerate(tool) if word in _SUBCOMMANDS), 1)]
    return Loader(
        save=f"{shlex.join(before)} {SAVERS[builder]}",
        load=line.format(name=context.partition("-")[2], context=context, archive="{archive}"),
    )


def load(builds: Sequence[Build], how: Loader, say: Callable[[str], None]) -> None:
    """Load images one after the other, so that only one archive is on the disk at a time.

    Raises:
        OpsError: a command failed.
    """
    for build in builds:
        with tempfile.TemporaryDirectory(prefix="churn-image-") as folder:
            for words in how.commands(build.image, Path(folder) / f"{build.target}.tar"):
                run(words, say)
