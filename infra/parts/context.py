"""What every workload needs to know about its stack."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import VolumeArgs, VolumeMountArgs

from infra.cloud import CloudOutputs
from infra.config import StateSettings
from infra.kit import pod
from infra.naming import Workload
from infra.parts.secret_mount import SecretMount, SecretMountArgs
from infra.secret_files import SecretSpec
from infra.versions import Images


@dataclass(frozen=True, kw_only=True)
class MountedSecret:
    """A secret of one pod: the pod's volume, the container's mount, and the paths of the files."""

    spec: SecretSpec
    volume: VolumeArgs

    @property
    def mount(self) -> VolumeMountArgs:
        """Where a container gets the files, read-only."""
        return pod.mount(self.spec.name, self.path)

    @property
    def path(self) -> str:
        """Folder with the files."""
        return self.spec.path

    def file(self, name: str) -> str:
        """Return the path of one file."""
        return self.spec.file(name)


@dataclass(frozen=True, kw_only=True)
class Context:
    """The stack as a workload sees it: the cloud, the images, whether state is protected, the domain of clients."""

    cloud: CloudOutputs
    images: Images
    state: StateSettings
    domain: str

    def secret(self, parent: pulumi.Resource, name: str, workload: Workload, secret: SecretSpec) -> MountedSecret:
        """Create a secret's volume for one workload; ``name`` is that of the component."""
        args = SecretMountArgs(
            workload=workload,
            secret=secret,
            source=self.cloud.secrets[secret.name],
            region=self.cloud.region,
            pod_identity=self.cloud.pod_identity,
        )
        options = pulumi.ResourceOptions(parent=parent)
        return MountedSecret(spec=secret, volume=SecretMount(f"{name}-{secret.name}", args, options).volume)
