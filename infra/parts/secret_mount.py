"""A secret as files in a pod; the pod sees the same files wherever their values come from."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import CSIVolumeSourceArgs, Secret, SecretVolumeSourceArgs, VolumeArgs

from infra.kit.meta import named, unnamed
from infra.kit.options import child
from infra.naming import Workload
from infra.secret_files import AwsSource, KubernetesSource, SecretSource, SecretSpec


@dataclass(frozen=True, kw_only=True)
class SecretMountArgs:
    """The secret, the workload that mounts it, and the source of its values."""

    workload: Workload
    secret: SecretSpec
    source: SecretSource
    region: str | None
    pod_identity: bool


class SecretMount(pulumi.ComponentResource):
    """A Kubernetes Secret, or a class for the Secrets Store CSI driver; a pod mounts `volume`."""

    volume: VolumeArgs
    """It has the name of the secret."""

    def __init__(self, name: str, args: SecretMountArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:parts:SecretMount", name, {}, opts)
        if isinstance(args.source, KubernetesSource):
            self.volume = self._kubernetes(name, args, args.source)
        else:
            self.volume = self._csi(name, args, args.source)
        self.register_outputs({})

    def _kubernetes(self, name: str, args: SecretMountArgs, source: KubernetesSource) -> VolumeArgs:
        secret = Secret(
            f"{name}-secret",
            metadata=unnamed(args.workload),
            type="Opaque",
            string_data={file: _marked(source.values[file]) for file in args.secret.files},
            opts=child(self),
        )
        return VolumeArgs(
            name=args.secret.name,
            secret=SecretVolumeSourceArgs(secret_name=secret.metadata.name, default_mode=0o440),
        )

    def _csi(self, name: str, args: SecretMountArgs, source: AwsSource) -> VolumeArgs:
        names = (*args.secret.files, *source.more)
        files = [{"path": f'"{file}"', "objectAlias": file} for file in names]
        described = pulumi.Output.from_input(source.arn).apply(
            lambda known: json.dumps([{"objectName": known, "objectType": "secretsmanager", "jmesPath": files}])
        )
        by_pod = {"usePodIdentity": "true"} if args.pod_identity else {}
        class_name = f"{args.workload.name}-{args.secret.name}"
        provider_class = CustomResource(
            f"{name}-provider-class",
            api_version="secrets-store.csi.x-k8s.io/v1",
            kind="SecretProviderClass",
            metadata=named(args.workload, role=args.secret.name),
            spec={"provider": "aws", "parameters": {"region": args.region, "objects": described} | by_pod},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return VolumeArgs(
            name=args.secret.name,
            csi=CSIVolumeSourceArgs(
                driver="secrets-store.csi.k8s.io",
                read_only=True,
                volume_attributes={"secretProviderClass": provider_class.id.apply(lambda _: class_name)},
            ),
        )


def _marked(value: pulumi.Output[str]) -> pulumi.Output[str]:
    """Mark a value as secret, also where a part of it, such as the name of a user, is not."""
    marked: pulumi.Output[str] = pulumi.Output.secret(value)
    return marked
