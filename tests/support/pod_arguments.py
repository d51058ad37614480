"""Arguments of recorded containers, with which tests run the same programs at other addresses and in other folders."""

from __future__ import annotations

from collections.abc import Mapping

from support.recorder import find, recorded


def arguments(stack: str, kind: str, name: str, container: str = "") -> list[str]:
    """Arguments of a container, by default the one that is named as its workload."""
    containers = find(recorded(stack), kind, name).inputs["spec"]["template"]["spec"]["containers"]
    (container_arguments,) = [list[str](each["args"]) for each in containers if each["name"] == (container or name)]
    return container_arguments


def replicas(stack: str, kind: str, name: str) -> int:
    """How many pods a stack sets for a workload."""
    return int(find(recorded(stack), kind, name).inputs["spec"]["replicas"])


def at_home(recorded_arguments: list[str], changes: Mapping[str, str]) -> list[str]:
    """Arguments with the addresses and folders in ``changes`` replaced; to stay, one is mapped to itself.

    An address or a folder that is not in ``changes`` is an error, so that no program looks for it on the tester's
    machine.
    """
    return [_changed(argument, changes) for argument in recorded_arguments]


def _changed(argument: str, changes: Mapping[str, str]) -> str:
    option, equals, value = argument.partition("=")
    if not equals or not any(mark in value for mark in ("/", ":", "$(")):
        return argument
    return f"{option}={changes[value]}"
