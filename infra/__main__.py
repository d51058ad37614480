"""Entry point of `pulumi up`: load the settings, build the stack, export its outputs."""

from __future__ import annotations

import pulumi

from infra.config_loader import load
from infra.placeholders import refuse_placeholders
from infra.provider import cluster_provider
from infra.stack import build_cloud, build_cluster, check_prerequisites
from infra.versions import locked_digests


def main() -> None:
    """Build the stack that Pulumi has selected."""
    settings = load()
    refuse_placeholders(settings)
    check_prerequisites(settings, locked_digests())
    cloud = build_cloud(settings)
    for name, value in build_cluster(settings, cloud, cluster_provider(settings, cloud)).items():
        pulumi.export(name, value)


main()
