"""Jobs that `pulumi up` waits for: migrations, the database's setup, the first training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs

from infra.kit.meta import unnamed, waited
from infra.kit.options import child
from infra.naming import Workload

AGAIN: Final = "pulumi.com/replaceUnready"
"""Makes the next `up` run a Job again that did not complete. Without it, each `up` waits for the failed Job, and fails
(pulumi-kubernetes issue 856). The provider judges the live Job, and no other kind (PR 1575, PR 1578)."""


def awaited_job(
    parent: pulumi.Resource,
    name: str,
    workload: Workload,
    spec: JobSpecArgs,
    *,
    seconds: int,
    after: Sequence[pulumi.Resource] = (),
) -> Job:
    """Create a Job that Pulumi names, and that `up` waits for, at most ``seconds``.

    It runs again when its content changes, and at each `up` until it has completed. The old one is deleted first, so
    that no two run at once, even if the old one is still running because a person interrupted `up`.
    """
    options = pulumi.ResourceOptions.merge(
        child(parent, after=after), pulumi.ResourceOptions(delete_before_replace=True)
    )
    return Job(name, metadata=unnamed(workload, annotations=waited(seconds) | {AGAIN: "true"}), spec=spec, opts=options)
