"""The pure functions that every workload uses."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, SecurityContextArgs
from support.recorder import STACKS, find, recorded

from infra import naming as n
from infra.config import Resources
from infra.kit import pod, probes
from infra.kit.meta import labels, named, unnamed

SIZE = Resources(cpu_request="100m", cpu_limit="1", memory_request="64Mi", memory_limit="128Mi")


def set_fields(args: Any) -> dict[str, Any]:
    """Return the fields of an argument object that are set."""
    return {key: value for key, value in vars(args).items() if value is not None}


def hardened(**options: Any) -> dict[str, Any]:
    container = ContainerArgs(name="api", image="a:1", resources=pod.resources(SIZE), **options)
    (only,) = set_fields(pod.harden(n.API, PodSpecArgs(containers=[container])).spec)["containers"]
    return set_fields(only)


def test_a_container_is_hardened_by_default() -> None:
    context = set_fields(hardened()["security_context"])
    capabilities = context.pop("capabilities")
    assert set_fields(capabilities) == {"drop": ["ALL"]}
    assert context == {
        "allow_privilege_escalation": False,
        "privileged": False,
        "read_only_root_filesystem": True,
        "run_as_non_root": True,
        "run_as_user": n.OWN_UID,
    }


def test_a_capability_is_that_of_the_workloads_container_alone() -> None:
    one, other = (ContainerArgs(name=name, image="a:1", resources=pod.resources(SIZE)) for name in ("api", "other"))
    spec = PodSpecArgs(containers=[one, other], init_containers=[one])
    template = set_fields(pod.harden(n.API, spec, capabilities=["NET_BIND_SERVICE"]).spec)
    added = [
        set_fields(set_fields(container)["security_context"].capabilities).get("add")
        for container in (*template["containers"], *template["init_containers"])
    ]
    assert added == [["NET_BIND_SERVICE"], None, None]


def test_an_init_container_is_hardened_too() -> None:
    container = ContainerArgs(name="first", image="a:1", resources=pod.resources(SIZE), ports=[])
    (first,) = set_fields(pod.harden(n.API, PodSpecArgs(containers=[], init_containers=[container])).spec)[
        "init_containers"
    ]
    assert set_fields(first)["security_context"].read_only_root_filesystem is True
    assert "ports" not in set_fields(first)


def test_a_container_has_its_workloads_ports_and_sorted_variables() -> None:
    container = hardened(env=pod.environment({"B": "2", "A": "1"}))
    assert [set_fields(port) for port in container["ports"]] == [{"name": "http", "container_port": 8000}]
    assert [set_fields(variable) for variable in container["env"]] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
    ]
    assert "ports" not in hardened(ports=[])


def test_a_pod_is_hardened_by_default() -> None:
    spec = set_fields(set_fields(pod.harden(n.API, PodSpecArgs(containers=[])))["spec"])
    context = set_fields(spec["security_context"])
    assert set_fields(context.pop("seccomp_profile")) == {"type": "RuntimeDefault"}
    assert context == {
        "run_as_non_root": True,
        "run_as_user": n.OWN_UID,
        "run_as_group": n.OWN_UID,
        "fs_group": n.OWN_UID,
        "fs_group_change_policy": "OnRootMismatch",
    }
    assert spec["automount_service_account_token"] is False
    assert spec["enable_service_links"] is False
    assert spec["service_account_name"] == "api"
    assert not {"host_network", "host_pid", "host_ipc"} & set(spec)


def test_a_pod_cannot_bring_rights_of_its_own() -> None:
    with pytest.raises(ValueError, match="the pod of api sets host_network"):
        pod.harden(n.API, PodSpecArgs(containers=[], host_network=True))
    with pytest.raises(ValueError, match="a container of api sets security_context"):
        hardened(security_context=SecurityContextArgs(privileged=True))


def test_hardening_leaves_what_it_is_given_unchanged() -> None:
    spec = PodSpecArgs(containers=[])
    pod.harden(n.API, spec)
    assert set_fields(spec) == {"containers": []}


def test_resources_bound_what_a_pod_writes_too() -> None:
    resources = pod.resources(SIZE, scratch="2Gi")
    assert resources.requests == {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
    assert resources.limits == {"cpu": "1", "memory": "128Mi", "ephemeral-storage": "2Gi"}


def test_labels_include_the_selector_and_selectors_are_unique() -> None:
    workloads = [value for value in vars(n).values() if isinstance(value, n.Workload)]
    assert all(workload.selector.items() <= labels(workload).items() for workload in workloads)
    assert len({workload.name for workload in workloads}) == len(workloads)


def test_metadata() -> None:
    assert set_fields(named(n.API))["name"] == "api"
    assert set_fields(named(n.API, role="data"))["name"] == "api-data"
    assert "name" not in set_fields(unnamed(n.API))


@pytest.mark.parametrize("stack", STACKS)
def test_roles_of_the_whole_cluster_have_the_projects_name_before_the_workloads(stack: str) -> None:
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        metadata = find(recorded(stack), kind, "churn-prometheus").inputs["metadata"]
        assert metadata["name"] == "churn-prometheus"
        assert "namespace" not in metadata


@pytest.mark.parametrize(("zones", "rule"), [(1, "ScheduleAnyway"), (3, "DoNotSchedule")])
def test_spread_is_strict_over_several_zones_only(zones: int, rule: str) -> None:
    by_zone, by_host = pod.spread(n.API, zones=zones)
    assert (by_zone.topology_key, by_zone.when_unsatisfiable) == (pod.ZONE, rule)
    assert (by_host.topology_key, by_host.when_unsatisfiable) == (pod.HOSTNAME, "ScheduleAnyway")


def test_probes_need_no_shell() -> None:
    assert set(set_fields(probes.http("/live"))) == {
        "http_get",
        "period_seconds",
        "timeout_seconds",
        "failure_threshold",
    }
    assert set_fields(set_fields(probes.tcp(port="redis"))["tcp_socket"]) == {"port": "redis"}
    handler = set_fields(set_fields(probes.sleep_before_stop(7))["pre_stop"])
    assert set_fields(handler["sleep"]) == {"seconds": 7}
