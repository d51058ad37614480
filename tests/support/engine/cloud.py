"""A project whose stack is on AWS, with stand-ins for all its providers; its cluster is in memory, as elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

import grpc
from pulumi import automation as auto
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc
from support import rds_authority
from support.engine.aws import Aws, cluster_outputs
from support.engine.cluster import MemoryCluster
from support.engine.kubernetes import Kubernetes
from support.engine.project import Project
from support.engine.provider import Asked, Provider, ProviderError
from support.engine.service import Service, served
from support.engine.wire import Properties, from_wire, revealed, to_wire
from support.paths import ROOT
from support.recorder import MadeUpDigests, settings

from infra.aws import functions, notify, rotation
from infra.trust import FOLDER
from infra.versions import OWN, PUBLIC, Images
from ops.stack.eks_component import parts

REGISTRY: Final = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/churn"


def invented_digests(stack: str) -> dict[str, str]:
    """A digest for each image that a stack may require, where its own images are in that registry."""
    images = Images(settings=settings(stack).images.model_copy(update={"registry": REGISTRY}), digests={})
    digests = MadeUpDigests()
    return {image: digests.get(image) for image in (images.tagged(name) for name in (*PUBLIC, *OWN))}


class Balanced(Kubernetes):
    """A cluster whose Services and Ingresses get the name of a load balancer, as AWS's controllers give it."""

    def create(self, asked: Asked) -> tuple[str, Properties]:
        identity, outputs = super().create(asked)
        return identity, self._named(asked, outputs)

    def update(self, asked: Asked) -> Properties:
        return self._named(asked, super().update(asked))

    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        resource = super().read(asked)
        return None if resource is None else (resource[0], self._named(asked, resource[1]))

    def _named(self, asked: Asked, outputs: Properties) -> Properties:
        if asked.kind in {"Service", "Ingress"}:
            outputs["status"] = {"loadBalancer": {"ingress": [{"hostname": "balancer.elb.example.com"}]}}
        return outputs


class Eks(Provider):
    """The package of the one component, which has no resources itself and is registered with the engine."""

    def check(self, asked: Asked) -> Properties:
        return asked.new

    def diff(self, asked: Asked) -> Any:
        raise ProviderError(f"{asked.type} is not a resource of this provider")

    create = update = delete = read = diff


class CloudService(Service):
    """A service that also answers what the program asks of AWS, and builds the component of `pulumi_eks`."""

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:  # noqa: N802, ARG002 -- the protocol's
        assert isinstance(self.provider, Aws)
        answer: dict[str, Any] = {"return": to_wire(self.provider.invoke(request.tok))}  # a keyword of Python
        return provider_pb2.InvokeResponse(**answer)

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:  # noqa: N802 -- the protocol's
        if request.preview:
            # AWS's own outputs stay: without them a preview would show changes of everything that reads them.
            return provider_pb2.UpdateResponse(properties=to_wire(from_wire(request.olds) | from_wire(request.news)))
        return super().Update(request, context)

    def Construct(self, request: Any, context: Any) -> provider_pb2.ConstructResponse:  # noqa: N802, ARG002 -- as above
        inputs = from_wire(request.inputs)
        outputs = to_wire(cluster_outputs(revealed(inputs)))
        with grpc.insecure_channel(request.monitorEndpoint, options=_GRPC_CHANNEL_OPTIONS) as channel:
            monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
            component = monitor.RegisterResource(
                resource_pb2.RegisterResourceRequest(
                    type=request.type,
                    name=request.name,
                    parent=request.parent,
                    custom=False,
                    protect=request.protect,
                    dependencies=list(request.dependencies),
                    acceptSecrets=True,
                    acceptResources=True,
                )
            )
            _register_parts(monitor, request, component.urn, revealed(inputs))
            monitor.RegisterResourceOutputs(
                resource_pb2.RegisterResourceOutputsRequest(urn=component.urn, outputs=outputs)
            )
        return provider_pb2.ConstructResponse(urn=component.urn, state=outputs)


OWN_VALUES: Final = {"203.0.113.0/24": "198.18.0.0/24", "example.com": "churn.test"}
"""What a person writes in place of the values for documentation, which are refused."""


def _register_parts(monitor: Any, request: Any, component: str, inputs: Properties) -> None:
    """Register what the real component makes, so that the engine creates and destroys it too."""
    urns = {"": component}
    for part in parts(request.name, inputs):
        needed = [urns[f"{request.name}-eksCluster"]] if len(urns) > 1 else list(request.dependencies)
        provider = request.providers["aws"] if part.type.startswith("aws:") else ""
        registered = monitor.RegisterResource(
            resource_pb2.RegisterResourceRequest(
                type=part.type,
                name=part.name,
                parent=urns[part.parent],
                custom=part.custom,
                object=to_wire(part.inputs),
                protect=request.protect,
                dependencies=needed,
                provider=provider,
                # As the component's own package does for a provider, whose version is an input of it.
                version=version("pulumi-kubernetes") if part.type.startswith("pulumi:providers:") else "",
                acceptSecrets=True,
                acceptResources=True,
            )
        )
        urns[part.name] = registered.urn


class CloudProject(Project[MemoryCluster]):
    """A stack on AWS, with values of its own."""

    def __init__(
        self, stack: str, *, command: auto.PulumiCommand, folder: Path, cluster: MemoryCluster | None = None
    ) -> None:
        super().__init__(stack, command=command, folder=folder, cluster=cluster or MemoryCluster())
        self.aws = Aws(self.journal)
        self.eks = Eks("eks", self.journal)
        self.kubernetes = Balanced(self.journal, self.cluster)
        text = self.settings.read_text()
        for reserved, own in OWN_VALUES.items():
            text = text.replace(reserved, own)
        self.settings.write_text(text)
        for package in (rotation.PACKAGE, notify.PACKAGE):
            shutil.copytree(functions.CODE / package, self.folder / (functions.CODE / package).relative_to(ROOT))
        rds_authority.write(self.folder / FOLDER.relative_to(ROOT))

    @contextmanager
    def open(self, kubeconfig: Path | None = None) -> Iterator[Self]:
        own = (self.aws, self.eks, self.kubernetes, self.random, self.tls)
        with super().open(kubeconfig), served(*own, service=CloudService) as providers:
            self.environment["PULUMI_DEBUG_PROVIDERS"] = providers
            self.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
            yield self

    def lock(self, digests: dict[str, str]) -> None:
        """Write the digests of the stack's images."""
        (self.folder / "infra" / "images.lock.json").write_text(json.dumps(digests))
