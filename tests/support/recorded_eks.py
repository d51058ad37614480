"""What EKS answers to the question for an add-on's builds, in the form of its API (`DescribeAddonVersions`)."""

from __future__ import annotations

from typing import Any


class RecordedEks:
    """Knows two builds of each add-on for each version; the older one is the default. The numbers are made up."""

    def __init__(self, *lacking: str) -> None:
        self.lacking = lacking
        """Add-ons of which there is no build."""

    def describe_addon_versions(self, *, addonName: str, kubernetesVersion: str) -> dict[str, Any]:  # noqa: N803 -- the API's
        """Answer as boto3's client does, the newest build first."""
        number = (
            f"v{kubernetesVersion}.9" if addonName == "kube-proxy" else f"v9.{kubernetesVersion.partition('.')[2]}.0"
        )
        builds = [
            {
                "addonVersion": f"{number}-eksbuild.{build}",
                "architecture": ["amd64", "arm64"],
                "compatibilities": [{"clusterVersion": kubernetesVersion, "defaultVersion": build == 1}],
            }
            for build in (2, 1)
        ]
        known = [] if addonName in self.lacking else [{"addonName": addonName, "type": "any", "addonVersions": builds}]
        return {"addons": known}
