"""Behind an NLB of AWS, a rollout of the edge loses no request; each part of the mend is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.edge_rollout import DEREGISTER_SECONDS, GATE, Edge, roll_out
from support.eks_recordings import managed
from support.recorder import find, recorded

from infra.naming import NAMESPACES
from infra.workloads import ingress
from ops.stack.recording import Recording

STACKS = ("staging", "prod")


@pytest.mark.parametrize("stack", STACKS)
def test_a_rollout_loses_no_request(stack: str) -> None:
    result = roll_out(Edge.of(recorded(stack)))
    assert result.failed == 0
    assert result.requests > result.seconds


@pytest.mark.parametrize("stack", STACKS)
def test_pulumi_waits_as_long_as_a_rollout_takes(stack: str) -> None:
    annotations = find(recorded(stack), "Deployment", "ingress").inputs["metadata"]["annotations"]
    assert roll_out(Edge.of(recorded(stack))).seconds < int(annotations["pulumi.com/timeoutSeconds"])


def test_without_the_gate_the_balancer_has_no_healthy_target_for_a_while() -> None:
    edge = Edge.of(recorded("prod"))
    assert roll_out(replace(edge, gated=False, replicas=1)).failed > 0
    assert roll_out(replace(edge, gated=False, pre_stop=ingress.PRE_STOP_SECONDS)).failed > 0


@pytest.mark.parametrize("seconds", [0, 30, 120, DEREGISTER_SECONDS - 1])
def test_a_pod_that_ends_before_the_balancer_lets_it_go_loses_requests(seconds: int) -> None:
    edge = Edge.of(recorded("prod"))
    assert roll_out(replace(edge, pre_stop=seconds)).failed > 0
    assert roll_out(replace(edge, grace=seconds)).failed > 0


@pytest.mark.parametrize("stack", STACKS)
def test_the_grace_leaves_time_for_open_connections(stack: str) -> None:
    edge = Edge.of(recorded(stack))
    assert edge.pre_stop > DEREGISTER_SECONDS
    assert edge.grace > edge.pre_stop + ingress.SHUTDOWN_SECONDS


def test_only_namespaces_whose_pods_are_targets_have_the_gate() -> None:
    """Elsewhere no target group exists that could make a pod ready."""

    def gated(recording: Recording) -> set[str]:
        labels = {name: find(recording, "Namespace", name).inputs["metadata"]["labels"] for name in NAMESPACES}
        return {name for name, values in labels.items() if GATE in values}

    # With managed nodes, the cluster's own controller registers nodes, not pods.
    assert [gated(recorded("dev")), gated(managed())] == [set(), set()]
    assert [gated(recorded(stack)) for stack in STACKS] == [{"churn-ingress"}, {"churn-ingress"}]
