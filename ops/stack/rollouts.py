"""Waits until every workload of the platform runs its newest pods: ``churn cluster wait``.

`pulumi up` waits as well, but not always to the end: a Deployment whose pods are ended before their successors start
looks finished as soon as the old ones are not wanted any more (pulumi-kubernetes, provider/pkg/await/deployment.go).
"""

# ruff: noqa: S603 - the program is kubectl, found on PATH
from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any, Final

from infra.naming import PART_OF, PROJECT
from ops.errors import OpsError

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
    program = shutil.which("kubectl")
    if program is None:
        raise OpsError("kubectl is not installed: it is needed to reach the cluster")
    words = [program, *(["--context", context] if context else [])]
    workloads = _workloads(words)
    if not workloads:
        raise OpsError("the cluster has no workload of the platform: run `pulumi up` first, or name another --context")
    late = [name for item in workloads if (name := _unfinished(words, item, say))]
    if late:
        raise OpsError(f"not every pod is ready: {', '.join(late)}; `kubectl describe` says why")


def _workloads(words: list[str]) -> list[dict[str, Any]]:
    labels = f"--selector={PART_OF}={PROJECT}"
    done = subprocess.run(
        [*words, "get", KINDS, "--all-namespaces", labels, "--output=json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OpsError(f"kubectl get failed: {done.stderr.strip()}")
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def _unfinished(words: list[str], item: dict[str, Any], say: Callable[[str], None]) -> str | None:
    """Return the workload's name if it does not get ready in the time that it has; tell what kubectl says of it."""
    metadata = item["metadata"]
    name, namespace = f"{item['kind'].lower()}/{metadata['name']}", metadata["namespace"]
    seconds = metadata.get("annotations", {}).get(TIMEOUT, SECONDS)
    command = [*words, "--namespace", namespace, "rollout", "status", name, f"--timeout={seconds}s"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    say(f"{namespace} {name}: {(done.stderr or done.stdout).strip()}")
    return f"{name} in {namespace}"
