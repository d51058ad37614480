"""What every workload is given: the stack around it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import VolumeArgs

from infra.cloud import CloudOutputs
from infra.config import StateSettings
from infra.naming import Workload
from infra.parts.secret_mount import SecretMount, SecretMountArgs
from infra.secret_files import SecretSpec
from infra.versions import Images


@dataclass(frozen=True, kw_only=True)
class Context:
    """The stack as a workload sees it: the cloud, the images, how state is kept, which domain answers outside."""

    cloud: CloudOutputs
    images: Images
    state: StateSettings
    domain: str

    def secret(self, parent: pulumi.Resource, name: str, workload: Workload, secret: SecretSpec) -> VolumeArgs:
        """The volume with a secret's files, made for one workload; `name` is the component's."""
        args = SecretMountArgs(
            workload=workload,
            secret=secret,
            source=self.cloud.secrets[secret.name],
            region=self.cloud.region,
            pod_identity=self.cloud.pod_identity,
        )
        return SecretMount(f"{name}-{secret.name}", args, pulumi.ResourceOptions(parent=parent)).volume
