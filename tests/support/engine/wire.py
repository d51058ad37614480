"""Resource properties between protobuf and plain Python; secret marks and unknown values stay.

The engine wraps a secret in a dictionary with a signature key and writes an unknown value as a fixed string, both
constants of Pulumi's protocol. Providers pass marks on unchanged, so that the engine encrypts the same values again.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

Properties: TypeAlias = dict[str, Any]


def from_wire(struct: struct_pb2.Struct) -> Properties:
    """Plain values; whole numbers become ``int`` again, since protobuf knows only doubles."""
    properties = _whole(json_format.MessageToDict(struct))
    assert isinstance(properties, dict)
    return properties


def to_wire(properties: Properties) -> struct_pb2.Struct:
    """The protobuf form of properties."""
    struct = struct_pb2.Struct()
    json_format.ParseDict(properties, struct)
    return struct


def secret(value: Any) -> Properties:
    """A value with a secret mark."""
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def is_secret(value: Any) -> bool:
    """Whether a value has a secret mark."""
    return isinstance(value, dict) and value.get(rpc._special_sig_key) == rpc._special_secret_sig


def revealed(value: Any) -> Any:
    """A value without any secret marks in it."""
    if is_secret(value):
        return revealed(value["value"])
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revealed(item) for item in value]
    return value


def is_unknown(value: Any) -> bool:
    """Whether a value becomes known only once another resource exists; this occurs in previews alone."""
    return bool(value == rpc.UNKNOWN)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
