"""Resource options of children: merged with what the component was given, never replacing it."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from infra.config import StateSettings


def child(parent: pulumi.Resource, *, after: Sequence[pulumi.Resource] = ()) -> pulumi.ResourceOptions:
    """Options of a child, made after what it needs."""
    return pulumi.ResourceOptions(parent=parent, depends_on=list(after) or None)


def stateful(
    parent: pulumi.Resource, state: StateSettings, *, after: Sequence[pulumi.Resource] = ()
) -> pulumi.ResourceOptions:
    """Options of a child that holds data or a secret: kept where the stack protects its state."""
    return pulumi.ResourceOptions(
        parent=parent, protect=state.protect, retain_on_delete=state.protect, depends_on=list(after) or None
    )
