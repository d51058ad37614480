"""A stack as files, offline: what two revisions of the program would make can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pulumi

from infra.config import load
from infra.stack import build_cloud, build_cluster
from infra.versions import locked_digests
from ops import cloud_stand_in
from ops.recording import Recording, record, stack_config

MARKER: Final = ".churn-render"
"""In a folder that a render wrote, so that the next one may replace it, and only such a folder."""


def stack_program(digests: Mapping[str, str]) -> Callable[[], None]:
    """The program of `infra/__main__.py` with nothing real around it: no kubeconfig, and for AWS a stand-in."""

    def program() -> None:
        settings = load()
        cloud = build_cloud(settings) if settings.cluster.kind == "local" else cloud_stand_in.stand_in(settings)
        platform = build_cluster(settings, cloud, cloud_stand_in.provider(), digests)
        for name, value in platform.outputs.items():
            pulumi.export(name, value)

    return program


def recorded(stack: str, root: Path) -> Recording:
    """A stack as the checkout at ``root`` configures it; images without a locked digest are shown by their tag."""
    config = stack_config(stack, root)
    images = {**config["churn:images"], "require_digests": False}
    return record(stack, stack_program(locked_digests()), {**config, "churn:images": images})
