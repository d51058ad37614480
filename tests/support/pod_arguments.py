"""Arguments of recorded containers, for programs that tests run with them at addresses and in folders of their own."""

from __future__ import annotations

from collections.abc import Mapping

from support.recorder import find, recorded


def arguments(stack: str, kind: str, name: str, container: str = "") -> list[str]:
    """Of a container, by default the one that is called as what it is part of."""
    containers = find(recorded(stack), kind, name).inputs["spec"]["template"]["spec"]["containers"]
    (found,) = [each["args"] for each in containers if each["name"] == (container or name)]
    given: list[str] = found
    return given


def replicas(stack: str, kind: str, name: str) -> int:
    return int(find(recorded(stack), kind, name).inputs["spec"]["replicas"])


def at_home(given: list[str], changes: Mapping[str, str]) -> list[str]:
    """Arguments with each of the values in ``changes`` exchanged; one that would be kept must be changed to itself.

    An address or a folder that nobody thought of here is an error, so that no program looks for it on the tester's
    machine.
    """
    return [_changed(argument, changes) for argument in given]


def _changed(argument: str, changes: Mapping[str, str]) -> str:
    option, equals, value = argument.partition("=")
    if not equals or not any(mark in value for mark in ("/", ":", "$(")):
        return argument
    return f"{option}={changes[value]}"
