"""The volume with MLflow's artifacts, where there is no bucket for them.

It belongs to none of those that mount it, MLflow and its backup: whoever is gone last would hold it otherwise, since a
finished pod of a backup still counts as a user of its volumes, and `pulumi destroy` would wait for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.naming import MLFLOW
from infra.parts.claim import claim
from infra.parts.context import Context


@dataclass(frozen=True, kw_only=True)
class ArtifactVolumeArgs:
    """Its size."""

    gib: int
    context: Context


class ArtifactVolume(pulumi.ComponentResource):
    """One claim."""

    claim: pulumi.Output[str]
    """Its name."""

    def __init__(self, name: str, args: ArtifactVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:ArtifactVolume", name, {}, opts)
        made = claim(self, name, MLFLOW, args.context, gib=args.gib, role="artifacts")
        self.claim = made.metadata["name"]
        self.register_outputs({"claim": self.claim})
