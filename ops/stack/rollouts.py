"""Waits until every workload of the platform runs its newest pods: ``churn cluster wait``.

`pulumi up` waits as well, but not always to the end: a Deployment with the strategy `Recreate` looks finished as soon
as the old pods are not wanted any more (pulumi-kubernetes, provider/pkg/await/deployment.go).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from infra.naming import PART_OF, PROJECT
from ops.errors import OpsError
from ops.stack import kubectl

TIMEOUT: Final = "pulumi.com/timeoutSeconds"
"""The annotation with which an object tells Pulumi how long to wait for it."""
SECONDS: Final = 600
"""How long to wait for an object without it, as Pulumi does."""
KINDS: Final = "deployments,statefulsets,daemonsets"


def wait(say: Callable[[str], None], context: str = "") -> None:
    """Wait for every controller of the platform in a context, kubectl's current one if none is named.

    Raises:
        OpsError: kubectl is missing or fails, there are no workloads, or one of them does not get ready in its time.
    """
    kubectl.require()
    workloads = _workloads(context)
    if not workloads:
        raise OpsError("the cluster has no workload of the platform: run `pulumi up` first, or name another --context")
    late = [name for item in workloads if (name := _unfinished(item, say, context))]
    if late:
        raise OpsError(f"not every pod is ready: {', '.join(late)}; `kubectl describe` says why")


def _workloads(context: str) -> list[dict[str, Any]]:
    try:
        listed = kubectl.read("get", KINDS, "--all-namespaces", f"--selector={PART_OF}={PROJECT}", context=context)
    except kubectl.CallError as error:
        raise OpsError(f"kubectl get failed: {error}") from None
    items: list[dict[str, Any]] = listed["items"]
    return items


def _unfinished(item: dict[str, Any], say: Callable[[str], None], context: str) -> str | None:
    """Return the workload's name if it does not get ready in the time that it has; tell what kubectl says of it."""
    metadata = item["metadata"]
    name, namespace = f"{item['kind'].lower()}/{metadata['name']}", metadata["namespace"]
    seconds = metadata.get("annotations", {}).get(TIMEOUT, SECONDS)
    words = ["--namespace", namespace, "rollout", "status", name, f"--timeout={seconds}s"]
    try:
        kubectl.call(*words, context=context)
    except kubectl.CallError as error:
        say(f"{namespace} {name}: {error}")
        return f"{name} in {namespace}"
    return None
