"""Examines a cluster before `pulumi up`: ``churn doctor``, and the first step of ``churn cluster up``.

It only reads, by `kubectl get`. What cannot be read is a warning: the stack may come up all the same.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from infra.versions import locked_digests
from ops.errors import OpsError
from ops.local.ports import is_free
from ops.stack import doctor_checks, kubectl, metrics_server
from ops.stack.checkout import stack_config
from ops.stack.demand import Demand, demand
from ops.stack.doctor_checks import Facts, Finding, Level
from ops.stack.doctor_state import state_key
from ops.stack.render import recorded

FORWARDED: Final = (8443,)
"""Ports of this machine in the printed `kubectl port-forward` commands."""
MACHINES: Final = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""Kubernetes' name of an architecture, by Python's."""
SECONDS: Final = 30


def gather(context: str) -> Facts:
    """Read what the checks look at.

    Raises:
        CallError: the cluster does not answer, or this user may not list these kinds.
    """
    kinds = ",".join(doctor_checks.KINDS)
    listed = kubectl.read("get", kinds, "--all-namespaces", context=context, seconds=SECONDS)
    objects: dict[str, list[Any]] = {}
    for item in listed.get("items", []):
        objects.setdefault(item["kind"], []).append(item)
    return Facts(
        context=context,
        machine=MACHINES.get(platform.machine(), platform.machine()),
        busy_ports=[port for port in FORWARDED if not is_free(port)],
        objects=objects,
    )


def needs(stack: str, root: Path, nodes: int) -> Demand:
    """Return what a stack requests on so many nodes, as the program at ``root`` describes it."""
    recording = recorded(stack, stack_config(stack, root), locked_digests())
    return demand(recording.manifests(), nodes=nodes)


def examine(facts: Facts, stack: str, root: Path) -> list[Finding]:
    """Return a finding for each check of a stack's cluster."""
    where = Finding(check="context", level=Level.OK, text=f"the cluster of context {facts.context} answers")
    asked = needs(stack, root, max(1, len(doctor_checks.usable(facts.of("Node")))))
    return [where, *(check(facts, asked) for check in doctor_checks.CHECKS)]


def current_context() -> str:
    """Return the name of kubectl's current context.

    Raises:
        OpsError: kubectl is not installed, or has no current context.
    """
    kubectl.require()
    try:
        return kubectl.call("config", "current-context").strip()
    except kubectl.CallError:
        raise OpsError("kubectl has no current context: start a cluster, or name a context with --context") from None


def diagnose(context: str, stack: str, root: Path) -> list[Finding]:
    """Examine the key of the stack's state and a cluster; one that cannot be read is an error.

    Raises:
        OpsError: there is no such stack, or no context.
    """
    stack_config(stack, root)
    key = state_key(stack, root, os.environ)
    chosen = context or current_context()
    try:
        return [*key, *examine(gather(chosen), stack, root)]
    except kubectl.CallError as error:
        text = f"the cluster of context {chosen} cannot be examined: {error}"
        remedy = "start the cluster, choose another context, or use one that may list nodes and pods"
        return [*key, Finding(check="context", level=Level.ERROR, text=text, remedy=remedy)]


def line(finding: Finding) -> str:
    """Return a finding as one line."""
    text = f"{finding.level:<7}  {finding.check}: {finding.text}"
    return f"{text}; {finding.remedy}" if finding.remedy else text


def prepare(context: str, stack: str, root: Path, say: Callable[[str], None]) -> None:
    """Examine a cluster before anything in it changes, and give kind the metrics-server that it lacks.

    Only warnings and errors are shown.

    Raises:
        OpsError: the stack could not come up.
    """
    try:
        facts = gather(context)
    except kubectl.CallError as error:
        say(f"warning  context: the cluster could not be examined: {error}")
        return
    findings = examine(facts, stack, root)
    without_metrics = not any(item["metadata"]["name"] == metrics_server.API for item in facts.of("APIService"))
    installs = without_metrics and context.startswith("kind-")
    for finding in findings:
        if finding.level != Level.OK and not (installs and finding.check == "metrics"):
            say(line(finding))
    stop(findings)
    if installs:
        install_metrics_server(context, say)


def stop(findings: Sequence[Finding]) -> None:
    """Refuse to go on if there are errors.

    Raises:
        OpsError: there are; the message has a line for each.
    """
    errors = [f"{finding.text}; {finding.remedy}" for finding in findings if finding.level == Level.ERROR]
    if errors:
        raise OpsError("\n".join(["the stack could not come up in this cluster", *errors]))


def install_metrics_server(context: str, say: Callable[[str], None]) -> None:
    """Apply metrics-server to a cluster without one; if that fails, the stack works without autoscaling."""
    words = ["apply", "--server-side", "--field-manager", "churn", "-f", "-"]
    say(f"$ kubectl --context {context} {' '.join(words)}   # metrics-server, without which no autoscaler acts")
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": metrics_server.objects()})
    try:
        kubectl.call(*words, context=context, stdin=objects)
    except kubectl.CallError as error:
        say(f"warning  metrics: metrics-server could not be installed, so the autoscaler will not act: {error}")
