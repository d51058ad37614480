"""`pulumi up`: load the settings, build the stack, export what people need next."""

from __future__ import annotations

import pulumi

from infra.settings import load
from infra.stack import build_cloud, build_cluster, cluster_provider


def main() -> None:
    """Build the stack that Pulumi selected."""
    settings = load()
    provider = cluster_provider(settings)
    platform = build_cluster(settings, build_cloud(settings), provider)
    for name, value in platform.outputs.items():
        pulumi.export(name, value)


main()
