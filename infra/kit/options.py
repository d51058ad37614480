"""Resource options for children: merged with those of the component, never replacing them."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from infra.config import StateSettings


def child(parent: pulumi.Resource, *, after: Sequence[pulumi.Resource] = ()) -> pulumi.ResourceOptions:
    """Return the options of a child that is created after the resources it depends on."""
    return pulumi.ResourceOptions(parent=parent, depends_on=list(after) or None)


def stateful(
    parent: pulumi.Resource,
    state: StateSettings,
    *,
    after: Sequence[pulumi.Resource] = (),
    ignore: Sequence[str] = (),
) -> pulumi.ResourceOptions:
    """Return the options of a child that holds data, a key or a secret: kept where the stack protects its state."""
    return pulumi.ResourceOptions(
        parent=parent,
        protect=state.protect,
        retain_on_delete=state.protect,
        depends_on=list(after) or None,
        ignore_changes=list(ignore) or None,
    )
