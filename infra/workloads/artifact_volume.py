"""The volume with MLflow's artifacts, where there is no bucket for them.

It is a component of its own because MLflow and the backup both mount it. A finished pod of a backup still counts as a
user of its volumes, so if either of the two owned this one, `pulumi destroy` could wait for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.naming import MLFLOW
from infra.parts.claim import Disk, claim
from infra.parts.context import Context


@dataclass(frozen=True, kw_only=True)
class ArtifactVolumeArgs:
    """Size of the volume."""

    gib: int
    context: Context


class ArtifactVolume(pulumi.ComponentResource):
    """The claim."""

    claim: pulumi.Output[str]
    """Name of the claim."""

    def __init__(self, name: str, args: ArtifactVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:ArtifactVolume", name, {}, opts)
        disk = Disk(context=args.context, gib=args.gib)
        self.claim = claim(self, name, MLFLOW, disk, role="artifacts").metadata["name"]
        self.register_outputs({"claim": self.claim})
