"""Pushgateway: one pod, without the administration API."""

from __future__ import annotations

import pytest
from support.recorder import STACKS, children, manifest, recorded
from support.rollout_rules import OLD_FIRST


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    assert children(recorded(stack), "pushgateway") == {
        ("Deployment", "pushgateway-deployment"),
        ("Service", "pushgateway-service"),
        ("ServiceAccount", "pushgateway-account"),
    }


@pytest.mark.parametrize("stack", STACKS)
def test_its_pod(stack: str) -> None:
    spec = manifest(stack, "Deployment", "pushgateway")["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["replicas"], spec["strategy"]) == (1, OLD_FIRST)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsUser"] == 65534
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["args"] == [
        "--web.listen-address=0.0.0.0:9091", "--persistence.file=/pushgateway/metrics", "--persistence.interval=1m",
    ]  # fmt: skip
    assert [mount["mountPath"] for mount in container["volumeMounts"] if not mount["readOnly"]] == ["/pushgateway"]
    assert pod["volumes"] == [{"name": "data", "emptyDir": {"sizeLimit": "64Mi"}}]
    assert container["resources"]["requests"]["memory"] == "32Mi"
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/-/ready", "readiness": "/-/ready", "liveness": "/-/healthy"}
