"""The edge's program starts with the one capability that its file has, and not without it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.kubectl import Json
from support.live import Live
from support.servers import wait_until

from infra.naming import INGRESS

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

NET_BIND_SERVICE = 1 << 10
"""The capability's bit (linux/capability.h)."""


def test_the_running_program_has_no_other_capability(live: Live) -> None:
    status = dict(
        line.split(":\t") for line in live.run(INGRESS, "cat", "/proc/1/status").splitlines() if line.startswith("Cap")
    )
    assert int(status["CapBnd"], 16) == NET_BIND_SERVICE
    assert int(status["CapEff"], 16) == NET_BIND_SERVICE


def test_without_its_capability_the_program_cannot_start(live: Live) -> None:
    name = "ingress-without-capability"
    template: Json = copy.deepcopy(live.object("deployment", INGRESS)["spec"]["template"])
    spec: dict[str, Any] = template["spec"]
    (container,) = spec["containers"]
    container["securityContext"]["capabilities"] = {"drop": ["ALL"]}
    for key in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        container.pop(key, None)
    spec["restartPolicy"] = "Never"
    # Without the workload's labels, so that no client is sent to it.
    metadata = {"name": name, "namespace": INGRESS.namespace}
    pod: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def end() -> str:
        """How it ended: runtimes report what the kernel says in the container's state or in its log."""
        where = ("get", "pod", name, "--namespace", INGRESS.namespace, "--output", "json")
        (pod_now,) = live.kubectl.run(*where).items()
        (state,) = [item["state"] for item in pod_now["status"].get("containerStatuses", [])] or [{}]
        if "terminated" not in state:
            return str(state.get("waiting", {}).get("message", ""))
        assert state["terminated"]["exitCode"] != 0
        log = live.kubectl.attempt("logs", name, "--namespace", INGRESS.namespace)
        return f"{state['terminated'].get('message', '')} {log.out}"

    live.kubectl.delete([pod])
    live.kubectl.run("create", "-f", "-", objects=[pod])
    try:
        wait_until(lambda: "not permitted" in end(), "the kernel refuses to start the program", 60)
    finally:
        live.kubectl.delete([pod])
