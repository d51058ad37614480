"""What a stand-in provider is asked and answers, apart from how the engine calls it, and a journal of its changes."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from support.engine.wire import Properties

Stage = Literal["asked", "made"]


class ProviderError(Exception):
    """The provider refuses; the message is what the user reads."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question of the engine about one resource. Properties keep their secret marks."""

    type: str
    """As ``kubernetes:apps/v1:Deployment``."""
    name: str
    """The logical name."""
    old: Properties = field(default_factory=dict)
    """Its inputs before."""
    new: Properties = field(default_factory=dict)
    """Its inputs now."""
    state: Properties = field(default_factory=dict)
    """Its outputs before."""
    seed: bytes = b""
    """Randomness for a name."""

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Paths that differ, as ``spec.ports[0].port``, and those among them that need a new resource."""

    paths: tuple[str, ...]
    replacing: tuple[str, ...] = ()
    delete_first: bool = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """One change that the engine asked for; previews are none."""

    operation: Literal["create", "update", "delete"]
    urn: str


@dataclass
class Journal:
    """All calls of all providers of one test; ``on_create`` sees each create twice, before and after its effect.

    A ``ProviderError`` of its prevents what was asked.
    """

    calls: list[Call] = field(default_factory=list)
    on_create: Callable[[int, Stage], None] = lambda _count, _stage: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, call: Call) -> int:
        """Append it; return how many of its kind there are now."""
        with self._lock:
            self.calls.append(call)
            return self.count(call.operation)

    def count(self, operation: str) -> int:
        return sum(call.operation == operation for call in self.calls)


class Provider(ABC):
    """What the resources of one package are."""

    def __init__(self, package: str, journal: Journal) -> None:
        self.package = package
        self.journal = journal

    @abstractmethod
    def check(self, asked: Asked) -> Properties:
        """Inputs as they will be stored."""

    @abstractmethod
    def diff(self, asked: Asked) -> Change:
        """What an update would change."""

    @abstractmethod
    def create(self, asked: Asked) -> tuple[str, Properties]:
        """Make it; return its identity and outputs."""

    @abstractmethod
    def update(self, asked: Asked) -> Properties:
        """Change it in place; return its outputs."""

    @abstractmethod
    def delete(self, asked: Asked) -> None:
        """Remove it; what is gone already is no error."""

    @abstractmethod
    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        """Inputs and outputs of what exists, or nothing."""
