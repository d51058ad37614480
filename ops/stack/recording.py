"""Runs the whole Pulumi program without an engine, a cluster or a credential, and records what it would create.

`churn render` writes the recording to files; the tests read it.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import mocks, rpc, set_all_config, set_mocks
from pulumi.runtime.settings import reset_options, set_root_resource
from pulumi.runtime.stack import run_in_stack

from infra.naming import PROJECT
from ops.stack import eks_component, recorded_aws

MASK: Final = "(secret)"
STAND_IN: Final = "made-value"
"""Prefix of every secret value in a recording; nothing rendered may contain it."""
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - how Pulumi's wire format marks a secret
_REFERENCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
_UNNAMED: Final = 8


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A registration as the engine receives it; ``secret_inputs`` holds the paths of the secret parts of ``inputs``."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    inputs: dict[str, Any]
    secret_inputs: frozenset[str]
    outputs: dict[str, Any]
    provider: str
    protect: bool
    retain_on_delete: bool
    depends_on: tuple[str, ...]
    ignore_changes: tuple[str, ...]

    @property
    def is_kubernetes(self) -> bool:
        """Whether it is an object of the cluster."""
        return self.custom and self.type.startswith("kubernetes:")

    def manifest(self, *, masked: bool = False) -> dict[str, Any]:
        """Return the Kubernetes object under the name that it would get; with ``masked``, secret values are hidden."""
        keys = {key: value for key, value in self.inputs.items() if key not in {"apiVersion", "kind", "metadata"}}
        manifest = {
            "apiVersion": self.inputs["apiVersion"],
            "kind": self.inputs["kind"],
            "metadata": {**self.inputs.get("metadata", {}), "name": self.outputs["metadata"]["name"]},
            **keys,
        }
        return hidden(manifest, self.secret_inputs) if masked else manifest


def hidden(value: Any, secret: frozenset[str], path: str = "") -> Any:
    """Copy a value with `MASK` in place of every secret part; the keys of a Kubernetes Secret's data stay visible."""
    if path in secret and not isinstance(value, dict):
        return MASK
    if isinstance(value, dict):
        inner = frozenset({*secret, *(_join(path, key) for key in value)}) if path in secret else secret
        return {key: hidden(item, inner, _join(path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item, secret, _join(path, str(index))) for index, item in enumerate(value)]
    return value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _secrets(value: Any, path: str = "") -> set[str]:
    """Find the paths of the secret parts of an input as the SDK sends it, before the marks are removed."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return {path} | _secrets(value.get("value"), path)
        return {inner for key, item in value.items() for inner in _secrets(item, _join(path, key))}
    if isinstance(value, list):
        return {inner for index, item in enumerate(value) for inner in _secrets(item, _join(path, str(index)))}
    return set()


def _whole(value: Any) -> Any:
    """Turn whole numbers into integers again, since the wire has only floating point, and secrets into their values."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, pulumi.AssetArchive):
        return {name: _whole(asset) for name, asset in value.assets.items()}
    if isinstance(value, pulumi.StringAsset):
        return f"sha256:{hashlib.sha256(value.text.encode()).hexdigest()}"
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _whole(value["value"])
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


@dataclass
class Recording:
    """Everything a stack registered, ordered by URN, and what it exported."""

    stack: str
    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()

    def manifests(self, *, masked: bool = False) -> list[dict[str, Any]]:
        """Return all Kubernetes objects."""
        return [resource.manifest(masked=masked) for resource in self.resources if resource.is_kubernetes]


class _Answers(mocks.Mocks):
    """Answers registrations: a resource's outputs are its inputs, and stand-ins for what a provider would generate."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.typ.startswith("kubernetes:"):
            outputs["metadata"] = {"name": _auto_name(args), **outputs.get("metadata", {})}
        generated = _generated_values(args)
        return generated.pop("id", f"{args.name}-id"), outputs | generated

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(f"the program called {args.token} of a provider: make that value configuration")


def _auto_name(args: mocks.MockResourceArgs) -> str:
    """Return a name that changes with the content, as the real one does when a ConfigMap is replaced."""
    content = json.dumps(args.inputs, sort_keys=True, default=str)
    return f"{args.name}-{hashlib.sha256(content.encode()).hexdigest()[:_UNNAMED]}"


def _generated_values(args: mocks.MockResourceArgs) -> dict[str, Any]:
    """Return what a provider would generate. Secret values come back secret, as from the real providers."""
    secret = pulumi.Output.secret(f"{STAND_IN}-{args.name}")
    match args.typ:
        case "random:index/randomPassword:RandomPassword":
            return {"result": secret}
        case "tls:index/privateKey:PrivateKey":
            return {"privateKeyPem": secret, "publicKeyPem": f"public key of {args.name}"}
        case "tls:index/selfSignedCert:SelfSignedCert" | "tls:index/locallySignedCert:LocallySignedCert":
            return {"certPem": f"certificate of {args.name}"}
        case "tls:index/certRequest:CertRequest":
            return {"certRequestPem": f"request of {args.name}"}
        case "kubernetes:core/v1:Service" | "kubernetes:networking.k8s.io/v1:Ingress":
            return {"status": {"loadBalancer": {"ingress": [{"hostname": f"{args.name}.elb.example.com"}]}}}
    return recorded_aws.generated_values(args)


def _name_references(value: Any) -> None:
    """Replace each reference to a resource by the resource's id or URN.

    A component of another provider may be given such references; from one the SDK would build the resource again, in
    whatever event loop is at hand.
    """
    for key in list(value):
        field = value[key]
        if not isinstance(field, struct_pb2.Struct):
            continue
        if _SIGNATURE in field and field[_SIGNATURE] == _REFERENCE:
            value[key] = field["id"] or field["urn"]
        else:
            _name_references(field)


class _Monitor(mocks.MockMonitor):
    """Records each registration with its options, which the plain mocks drop."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(_Answers())
        self.recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name of the protocol
        _name_references(request.object)
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]  # the SDK's mocks are not typed
        if request.type == "pulumi:pulumi:Stack":
            return response
        raw = json_format.MessageToDict(request.object)
        resource = Resource(
            urn=response.urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            inputs=_whole(rpc.deserialize_properties(request.object)),
            secret_inputs=frozenset(_secrets(raw)),
            outputs=_whole(rpc.deserialize_properties(response.object)),
            provider=request.provider,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            depends_on=tuple(request.dependencies),
            ignore_changes=tuple(request.ignoreChanges),
        )
        self.recording.resources.append(resource)
        if request.type == eks_component.TYPE:
            self._add_parts(resource, request.providers["aws"])
        return response

    def _add_parts(self, component: Resource, provider: str) -> None:
        """Record what the component of `pulumi_eks` makes, which its provider would register."""
        urns = {"": component.urn}
        cluster: tuple[str, ...] = ()
        for part in eks_component.parts(component.name, component.inputs):
            urn = urns[part.name] = self.make_urn(urns[part.parent], part.type, part.name)
            self.recording.resources.append(
                Resource(
                    urn=urn,
                    type=part.type,
                    name=part.name,
                    parent=urns[part.parent],
                    custom=part.custom,
                    inputs=part.inputs,
                    secret_inputs=frozenset(),
                    outputs=part.inputs,
                    provider=provider if part.type.startswith("aws:") else "",
                    protect=component.protect,
                    retain_on_delete=False,
                    depends_on=cluster or component.depends_on,
                    ignore_changes=(),
                )
            )
            cluster = cluster or (urn,)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the name of the protocol
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            values = json_format.MessageToDict(request.outputs)
            self.recording.secret_outputs = frozenset(_secrets(values))
            self.recording.outputs = _whole(rpc.deserialize_properties(request.outputs))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]  # as above


def record(stack: str, program: Callable[[], None], config: Mapping[str, Any]) -> Recording:
    """Run ``program`` as ``stack`` with ``config`` (values by full key), in a thread and event loop of its own.

    Raises:
        Whatever the program raises, a `ConfigError` for instance.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(contextvars.Context().run, _record, stack, program, config).result()


def _record(stack: str, program: Callable[[], None], config: Mapping[str, Any]) -> Recording:
    recording = Recording(stack=stack)
    flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    with _no_collection(), _event_loop() as loop:
        reset_options(project=PROJECT, stack=stack)
        set_mocks(_Answers(), project=PROJECT, stack=stack, preview=False, monitor=_Monitor(recording))
        set_root_resource(None)  # type: ignore[arg-type]  # none yet: the stack makes its own
        set_all_config(flat)
        loop.run_until_complete(run_in_stack(program))
    recording.resources.sort(key=lambda resource: resource.urn)
    return recording


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: nearly all objects live until the end, and looking takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop to this thread and to each thread that registers resources; close them all at the end."""
    opened: list[asyncio.AbstractEventLoop] = []

    def open_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        opened.append(loop)
        return loop

    try:
        loop = open_loop()
        with ThreadPoolExecutor(initializer=open_loop) as registering:
            loop.set_default_executor(registering)
            yield loop
    finally:
        for each in opened:
            each.close()
