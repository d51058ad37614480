"""What pods and service accounts may do, decided by the cluster itself."""

from __future__ import annotations

import pytest
from support.kubectl import Json
from support.live import Live
from support.rights import Right, granted

from infra import naming as n
from infra.workloads.ingress_access import LOCK, READ
from infra.workloads.kube_state_metrics import EXPORTED

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

NOBODY = ("nobody", "default")
ELSEWHERE = ("default", "kube-system")


def privileged(namespace: str) -> Json:
    container = {"name": "shell", "image": "shell:1", "securityContext": {"privileged": True}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "by-hand", "namespace": namespace},
        "spec": {"containers": [container]},
    }


@pytest.mark.parametrize("namespace", n.NAMESPACES)
def test_a_privileged_pod_made_by_hand_is_refused(live: Live, namespace: str) -> None:
    answer = live.kubectl.attempt("create", "-f", "-", objects=[privileged(namespace)])
    assert not answer.ok
    assert "violates PodSecurity" in answer.err or "only what node-exporter needs" in answer.err


def of(group: str, verbs: tuple[str, ...], *resources: str, name: str = "*") -> set[Right]:
    return {(verb, group, resource, name) for verb in verbs for resource in resources}


def watched(namespace: str) -> set[Right]:
    """Rights of the ingress controller in a namespace with routes."""
    return {
        *of("", READ, "services", "pods"),
        *of("", ("create", "patch"), "events"),
        *of("", ("get",), "namespaces", name=namespace),
        *of("discovery.k8s.io", READ, "endpointslices"),
        *of("networking.k8s.io", READ, "ingresses"),
        *of("networking.k8s.io", ("update",), "ingresses/status"),
        *CLUSTER["ingress"],
    }


CLUSTER: dict[str, set[Right]] = {
    "ingress": of("networking.k8s.io", ("get",), "ingressclasses", name="churn"),
    "prometheus": {*of("", READ, "nodes"), *of("", ("get",), "nodes/metrics")},
}
"""Rights that hold in every namespace, by service account."""
ROUTED = (n.SERVING, n.MLOPS, n.MONITORING)
EXPECTED: dict[tuple[str, str], set[Right]] = {
    **{("ingress", namespace): watched(namespace) for namespace in ROUTED},
    ("ingress", n.INGRESS_NAMESPACE): {
        *watched(n.INGRESS_NAMESPACE),
        *of("", READ, "configmaps", "secrets"),
        *of("", ("update",), "pods"),
        *of("apps", ("get",), "replicasets"),
        *of("coordination.k8s.io", ("get", "update"), "leases", name=LOCK),
        *of("coordination.k8s.io", ("create",), "leases"),
    },
    **{
        ("prometheus", namespace): {*of("", READ, "pods"), *CLUSTER["prometheus"]}
        for namespace in (n.INGRESS_NAMESPACE, n.SERVING, n.MONITORING, n.NODES)
    },
    **{
        ("kube-state-metrics", namespace): {
            right for group, names in EXPORTED.items() for right in of(group, ("list", "watch"), *names)
        }
        for namespace in n.NAMESPACES
    },
}
"""Rights by service account and namespace; all other accounts have none."""


def test_each_service_account_can_do_exactly_what_it_needs(live: Live) -> None:
    everywhere = [*n.NAMESPACES, *ELSEWHERE]
    basic = granted(live.kubectl, *NOBODY, within=everywhere)
    accounts = [item for item in live.kubectl.get("serviceaccounts") if item["metadata"]["namespace"] in n.NAMESPACES]
    assert len(accounts) > 15
    for account in accounts:
        name, home = account["metadata"]["name"], account["metadata"]["namespace"]
        actual = granted(live.kubectl, name, home, within=everywhere)
        for namespace in everywhere:
            expected = EXPECTED.get((name, namespace), CLUSTER.get(name, set()))
            assert actual[namespace] - basic[namespace] == expected, (name, namespace)


def test_a_pod_that_talks_to_nobody_has_no_token(live: Live) -> None:
    with_token = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]
        for pod in live.everything()
        if any("serviceAccountToken" in str(volume) for volume in pod["spec"].get("volumes", ()))
    }
    assert with_token == {"ingress", "prometheus", "kube-state-metrics"}
