"""The interface of a stand-in provider, apart from how the engine calls it, and a journal of its changes."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from support.engine.wire import Properties

Stage = Literal["asked", "made"]


class ProviderError(Exception):
    """The provider refuses; the user reads the message."""


class UnreadyError(ProviderError):
    """The resource exists, but does not become ready: the engine keeps it in its state, and the operation fails."""

    def __init__(self, message: str, live: Properties, identity: str = "") -> None:
        super().__init__(message)
        self.live = live
        """The resource as it is: an object as the cluster has it, and then its outputs with their secret marks."""
        self.identity = identity


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of the engine about one resource. Properties have their secret marks."""

    type: str
    """Such as ``kubernetes:apps/v1:Deployment``."""
    name: str
    """The logical name."""
    old: Properties = field(default_factory=dict)
    """Its previous inputs."""
    new: Properties = field(default_factory=dict)
    """Its new inputs."""
    state: Properties = field(default_factory=dict)
    """Its previous outputs."""
    seed: bytes = b""
    """Randomness for a name."""
    identity: str = ""
    """Its id, where it exists already."""

    @property
    def kind(self) -> str:
        """The last part of the type."""
        return self.type.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Paths that differ, such as ``spec.ports[0].port``, and the reasons for a new resource: these paths, or others."""

    paths: tuple[str, ...]
    replacing: tuple[str, ...] = ()
    delete_first: bool = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """One change that the engine asked for; previews ask for none."""

    operation: Literal["create", "update", "delete"]
    urn: str


@dataclass
class Journal:
    """All calls to all providers of one test; ``on_create`` and ``on_update`` are called before and after.

    If one raises a ``ProviderError``, the operation does not happen.
    """

    calls: list[Call] = field(default_factory=list)
    on_create: Callable[[int, Stage], None] = lambda _count, _stage: None
    on_update: Callable[[Call, Stage], None] = lambda _call, _stage: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, call: Call) -> int:
        """Append a call; return how many calls of its kind there are now."""
        with self._lock:
            self.calls.append(call)
            return self.count(call.operation)

    def count(self, operation: str) -> int:
        """How many calls of one kind there are."""
        return sum(call.operation == operation for call in self.calls)


class Provider(ABC):
    """Manages the resources of one Pulumi package."""

    def __init__(self, package: str, journal: Journal) -> None:
        self.package = package
        self.journal = journal

    @abstractmethod
    def check(self, asked: Asked) -> Properties:
        """The inputs as they will be stored."""

    @abstractmethod
    def diff(self, asked: Asked) -> Change:
        """What an update would change."""

    @abstractmethod
    def create(self, asked: Asked) -> tuple[str, Properties]:
        """Create the resource; return its identity and outputs."""

    @abstractmethod
    def update(self, asked: Asked) -> Properties:
        """Change the resource in place; return its outputs."""

    @abstractmethod
    def delete(self, asked: Asked) -> None:
        """Delete the resource; one that is gone already is no error."""

    @abstractmethod
    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        """Inputs and outputs of the resource, or None if it does not exist."""
