"""The gRPC service through which the Pulumi engine talks to a stand-in provider.

It runs in the test's process, so that a provider's resources outlive a killed engine.
"""
# ruff: noqa: N802, ARG002 -- names and arguments are the protocol's

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from support.engine.provider import Asked, Call, Change, Provider, ProviderError, UnreadyError
from support.engine.wire import from_wire, to_wire
from support.servers import HOST


class Service(provider_pb2_grpc.ResourceProviderServicer):
    """Passes the engine's requests to a ``Provider``."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.journal = provider.journal

    def Handshake(self, request: Any, context: Any) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        # The engine refuses a provider older than the SDK that asks for it.
        return plugin_pb2.PluginInfo(version=metadata.version(f"pulumi-{self.provider.package}"))

    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        old, new = from_wire(request.old_inputs), from_wire(request.news)
        return _diff_response(Change(paths=tuple(sorted(key for key in old | new if old.get(key) != new.get(key)))))

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        asked = Asked(
            type=request.type,
            name=request.name,
            old=from_wire(request.olds),
            new=from_wire(request.news),
            seed=request.randomSeed,
        )
        return provider_pb2.CheckResponse(inputs=to_wire(self.provider.check(asked)))

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        old, new = from_wire(request.old_inputs), from_wire(request.news)
        asked = Asked(type=request.type, name=request.name, old=old, new=new)
        return _diff_response(self.provider.diff(asked))

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=request.properties)
        count = self.journal.note(Call(operation="create", urn=request.urn))
        with _refusals(context, request.properties):
            self.journal.on_create(count, "asked")
            asked = Asked(type=request.type, name=request.name, new=from_wire(request.properties))
            identity, outputs = self.provider.create(asked)
        self.journal.on_create(count, "made")
        return provider_pb2.CreateResponse(id=identity, properties=to_wire(outputs))

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        call = Call(operation="update", urn=request.urn)
        self.journal.note(call)
        asked = Asked(type=request.type, name=request.name, new=from_wire(request.news), identity=request.id)
        with _refusals(context, request.news):
            self.journal.on_update(call, "asked")
            outputs = self.provider.update(asked)
        self.journal.on_update(call, "made")
        return provider_pb2.UpdateResponse(properties=to_wire(outputs))

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.journal.note(Call(operation="delete", urn=request.urn))
        asked = Asked(type=request.type, name=request.name, old=from_wire(request.old_inputs), identity=request.id)
        with _refusals(context):
            self.provider.delete(asked)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        old, state = from_wire(request.inputs), from_wire(request.properties)
        asked = Asked(type=request.type, name=request.name, old=old, state=state, identity=request.id)
        resource = self.provider.read(asked)
        if resource is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = resource
        return provider_pb2.ReadResponse(id=request.id, inputs=to_wire(inputs), properties=to_wire(outputs))


@contextmanager
def served(*providers: Provider, service: type[Service] = Service) -> Iterator[str]:
    """Serve each provider on a free port; gives the value of PULUMI_DEBUG_PROVIDERS that makes an engine use them."""
    addresses = []
    servers = []
    for provider in providers:
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=_GRPC_CHANNEL_OPTIONS)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(service(provider), server)
        addresses.append(f"{provider.package}:{server.add_insecure_port(f'{HOST}:0')}")
        server.start()
        servers.append(server)
    try:
        yield ",".join(addresses)
    finally:
        for server in servers:
            server.stop(grace=None).wait()


@contextmanager
def _refusals(context: grpc.ServicerContext, inputs: Any = None) -> Iterator[None]:
    """Pass a refusal to the engine as its message, and with it the resource that exists but is not ready."""
    try:
        yield
    except UnreadyError as error:
        partial = provider_pb2.ErrorResourceInitFailed(
            id=error.identity, properties=to_wire(error.live), inputs=inputs, reasons=[str(error)]
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
        status.details.add().Pack(partial)
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except ProviderError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _diff_response(change: Change) -> provider_pb2.DiffResponse:
    kinds = provider_pb2.PropertyDiff.Kind
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME
        if change.paths or change.replacing
        else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=change.replacing,
        deleteBeforeReplace=change.delete_first,
        hasDetailedDiff=True,
        detailedDiff={
            path: provider_pb2.PropertyDiff(
                kind=kinds.UPDATE_REPLACE if path in change.replacing else kinds.UPDATE, inputDiff=True
            )
            for path in change.paths
        },
    )
