"""The order in which the engine creates a stack's resources, and in reverse destroys them."""

from __future__ import annotations

from functools import cache

from ops.stack.recording import Recording


def before(recording: Recording) -> dict[str, set[str]]:
    """What each resource waits for, by URN, directly or not: its dependencies, and those of its component.

    Whatever is in here is destroyed after the resource (pulumi/pulumi, `pkg/resource/graph/dependency_graph.go`,
    `DependenciesOf`: dependencies, the children of a component that is one, and the parent).
    """
    direct = {item.urn: {*item.depends_on, item.parent} for item in recording.resources}
    parents = {item.urn: item.parent for item in recording.resources}
    children: dict[str, list[str]] = {}
    for urn, parent in parents.items():
        children.setdefault(parent, []).append(urn)

    @cache
    def inside(urn: str) -> frozenset[str]:
        below = children.get(urn, [])
        return frozenset({urn, *(deeper for child in below for deeper in inside(child))})

    def reach(urn: str, seen: set[str]) -> set[str]:
        for other in direct.get(urn, ()):
            whole = {other} if other == parents[urn] else inside(other)
            for each in whole - seen:
                seen.add(each)
                reach(each, seen)
        return seen

    return {urn: reach(urn, set()) for urn in direct}
