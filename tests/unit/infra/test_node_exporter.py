"""node-exporter: on every node, with the host's files and nothing else of the host."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.recorder import STACKS, children, manifest, recorded

from infra.workloads.node_exporter import OTHER_MOUNTS


def pod(stack: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(stack, "DaemonSet", "node-exporter", "churn-nodes")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("stack", STACKS)
def test_it_is_exactly_these_objects(stack: str) -> None:
    assert children(recorded(stack), "node-exporter") == {
        ("DaemonSet", "node-exporter-daemonset"),
        ("ServiceAccount", "node-exporter-account"),
    }


@pytest.mark.parametrize("stack", STACKS)
def test_it_has_the_hosts_files_and_nothing_else_of_the_host(stack: str) -> None:
    (container,) = pod(stack)["containers"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(stack).keys()
    assert pod(stack)["automountServiceAccountToken"] is False
    assert {volume["hostPath"]["path"] for volume in pod(stack)["volumes"]} == {"/", "/proc", "/sys"}
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert [m["mountPath"] for m in container["volumeMounts"] if "mountPropagation" in m] == ["/host/root"]
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (security["privileged"], security["allowPrivilegeEscalation"]) == (False, False)
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65534)
    assert security["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("stack", STACKS)
def test_it_runs_on_every_node(stack: str) -> None:
    assert pod(stack)["tolerations"] == [{"operator": "Exists"}]
    assert "nodeSelector" not in pod(stack)
    strategy = manifest(stack, "DaemonSet", "node-exporter")["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}}


def test_it_reads_the_host_and_leaves_out_what_is_the_pods_own() -> None:
    (container,) = pod("prod")["containers"]
    assert {"--path.procfs=/host/proc", "--path.sysfs=/host/sys", "--path.rootfs=/host/root"} <= set(container["args"])
    assert "--no-collector.netdev" in container["args"]
    assert f"--collector.filesystem.mount-points-exclude={OTHER_MOUNTS}" in container["args"]


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("/", False),
        ("/data", False),
        ("/var/lib", False),
        ("/proc", True),
        ("/run/containerd/io", True),
        ("/var/lib/kubelet/pods/x/volumes/y", True),
        ("/var/lib/containerd/overlay", True),
        ("/developers", False),
        ("/local", False),
        ("/local/var/lib/kubelet/pods/x/volumes/y", True),
    ],
)
def test_file_systems_of_pods_are_left_out(path: str, left_out: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert bool(re.search(OTHER_MOUNTS, path)) is left_out
