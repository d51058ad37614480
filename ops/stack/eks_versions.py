"""Set a stack's Kubernetes version, and ask EKS for the build of each add-on that fits it.

It changes only the stack's file: ``python -m ops.stack.eks_versions --stack staging --version 1.37 --region REGION``.
EKS upgrades by one minor version at a time and never back, and prod follows staging.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from infra.config_aws import AddonSettings
from infra.naming import PROJECT
from ops.errors import OpsError, exit_code
from ops.stack.checkout import ROOT, stack_config, stack_names
from ops.stack.stack_file import set_values

EKS: Final = f"{PROJECT}:eks"
ADDONS: Final = f"{PROJECT}:addons"
FIRST: Final = {"prod": "staging"}
"""The stack that must run a version before another one may."""


def minor(version: str) -> int:
    """Return the second number of a Kubernetes version.

    Raises:
        OpsError: the text is no version.
    """
    major, _, rest = version.partition(".")
    if major != "1" or not rest.isdecimal():
        raise OpsError(f"{version!r} is no Kubernetes version: write it as 1.36")
    return int(rest)


def check(stack: str, version: str, root: Path) -> None:
    """Check that a stack may go to a version.

    Raises:
        OpsError: it is not the next version or the present one, or the stack before this one does not run it yet.
    """
    present = str(stack_config(stack, root)[EKS]["version"])
    if minor(version) - minor(present) not in {0, 1}:
        raise OpsError(f"{stack} is at {present}: EKS goes up by one minor version at a time, and never down")
    earlier = FIRST.get(stack, "")
    if earlier in stack_names(root):
        reached = str(stack_config(earlier, root)[EKS]["version"])
        if minor(reached) < minor(version):
            raise OpsError(f"{earlier} is at {reached}: upgrade it first, and let {stack} follow")


def build_for(client: Any, addon: str, version: str) -> str:
    """Return the build that EKS itself would install; ``client`` is boto3's.

    Raises:
        OpsError: no build of the add-on fits the version.
    """
    answer = client.describe_addon_versions(addonName=addon, kubernetesVersion=version)
    fitting: dict[str, bool] = {
        item["addonVersion"]: any(
            fit["clusterVersion"] == version and fit["defaultVersion"] for fit in item["compatibilities"]
        )
        for entry in answer["addons"]
        for item in entry["addonVersions"]
    }
    if not fitting:
        raise OpsError(f"EKS has no build of {addon} for {version}")
    return next((name for name, default in fitting.items() if default), next(iter(fitting)))


def set_versions(client: Any, stack: str, version: str, root: Path = ROOT) -> dict[str, str]:
    """Write the version and the builds into the stack's file; return the builds by the names of the add-ons.

    Raises:
        OpsError: the stack may not go to the version, or an add-on has no build for it; nothing is written then.
    """
    check(stack, version, root)
    fields = list(AddonSettings.model_fields)
    found_builds = {field: build_for(client, field.replace("_", "-"), version) for field in fields}
    values = {(EKS, "version"): version} | {(ADDONS, field): build for field, build in found_builds.items()}
    set_values(root / f"Pulumi.{stack}.yaml", values)
    return {field.replace("_", "-"): build for field, build in found_builds.items()}


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    import boto3  # noqa: PLC0415 - slow to import, and --help does not need it

    parser = argparse.ArgumentParser(prog="python -m ops.stack.eks_versions", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", required=True)
    parser.add_argument("--version", required=True, help="Kubernetes version, such as 1.36")
    parser.add_argument("--region", required=True)
    options = parser.parse_args(argv)
    try:
        builds = set_versions(boto3.client("eks", region_name=options.region), options.stack, options.version)
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program that an operator runs
        return exit_code(error)
    for name, build in builds.items():
        print(f"{name} {build}")  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
