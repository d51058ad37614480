"""`pulumi up`: load the settings, build the stack, export what people need next."""

from __future__ import annotations

import pulumi

from infra.settings import load
from infra.stack import build_cloud, build_cluster, cluster_provider, refuse
from infra.versions import locked_digests


def main() -> None:
    """Build the stack that Pulumi selected."""
    settings = load()
    refuse(settings, locked_digests())
    cloud = build_cloud(settings)
    platform = build_cluster(settings, cloud, cluster_provider(settings, cloud))
    for name, value in platform.outputs.items():
        pulumi.export(name, value)


main()
