"""A rollout of the edge behind an NLB, second by second in simulated time: which requests meet a pod that serves.

An NLB with pods as targets is slow both ways. A new target gets its first connections minutes after its pod is ready
(aws-load-balancer-controller 1834), and one that has been deregistered gets new connections for two minutes more,
whatever its deregistration delay (issue 2366; AWS' China blog, on the readiness gate, measured 127 and 128 s). Pods
follow Kubernetes: a Deployment replaces them within its surge, a deleted pod serves until its `preStop` is over, and it
is killed at the end of its grace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from support.recorder import find

from ops.stack.recording import Recording

REGISTER_SECONDS: Final = 180
DEREGISTER_SECONDS: Final = 127
START_SECONDS: Final = 20
GATE: Final = "eks.amazonaws.com/pod-readiness-gate-inject"
LONGEST_SECONDS: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What a recorded stack says about the pods of its edge."""

    replicas: int
    surge: int
    unavailable: int
    gated: bool
    pre_stop: int
    grace: int

    @classmethod
    def of(cls, recording: Recording) -> Edge:
        """Read it from the Deployment and its namespace."""
        spec = find(recording, "Deployment", "ingress").inputs["spec"]
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        rolling = spec["strategy"]["rollingUpdate"]
        namespace = find(recording, "Namespace", "churn-ingress").inputs["metadata"]
        return cls(
            replicas=spec["replicas"],
            surge=rolling["maxSurge"],
            unavailable=rolling["maxUnavailable"],
            gated=namespace["labels"].get(GATE) == "enabled",
            pre_stop=container["lifecycle"]["preStop"]["sleep"]["seconds"],
            grace=pod["terminationGracePeriodSeconds"],
        )


@dataclass
class Pod:
    """One pod and its target; times in seconds, None for what has not happened."""

    created: int
    old: bool
    deleted: int | None = None

    def runs(self, now: int) -> bool:
        """Whether its container is ready, and so registered as a target."""
        return now >= self.created + START_SECONDS and self.deleted is None

    def targeted(self, now: int) -> bool:
        """Whether the balancer sends new connections to it."""
        if self.deleted is not None and now >= self.deleted + DEREGISTER_SECONDS:
            return False
        return now >= self.created + START_SECONDS + REGISTER_SECONDS

    def serves(self, now: int, edge: Edge) -> bool:
        """Whether it takes a new connection."""
        if now < self.created + START_SECONDS:
            return False
        return self.deleted is None or now < self.deleted + min(edge.pre_stop, edge.grace)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a rollout."""

    requests: int
    failed: int
    seconds: int


def roll_out(edge: Edge) -> Result:
    """Replace every pod, with one request a second for each target, and at least one."""
    long_ago = -(START_SECONDS + REGISTER_SECONDS)
    pods = [Pod(created=long_ago, old=True) for _ in range(edge.replicas)]
    requests = failed = 0
    for now in range(LONGEST_SECONDS):
        _reconcile(pods, edge, now)
        targets = [pod for pod in pods if pod.targeted(now)]
        answered = sum(pod.serves(now, edge) for pod in targets)
        requests += max(1, len(targets))
        failed += max(1, len(targets)) - answered
        over = not any(pod.old and (pod.deleted is None or pod.targeted(now)) for pod in pods)
        if over and sum(pod.targeted(now) for pod in pods if not pod.old) == edge.replicas:
            return Result(requests=requests, failed=failed, seconds=now)
    raise AssertionError("the rollout does not end")


def _reconcile(pods: list[Pod], edge: Edge, now: int) -> None:
    """Create and delete pods as a Deployment does."""
    present = [pod for pod in pods if pod.deleted is None]
    new = [pod for pod in present if not pod.old]
    room = min(edge.replicas + edge.surge - len(present), edge.replicas - len(new))
    pods += [Pod(created=now, old=False) for _ in range(room)]
    ready = [pod for pod in present if pod.runs(now) and (pod.old or not edge.gated or pod.targeted(now))]
    spare = len(ready) - (edge.replicas - edge.unavailable)
    for pod in [pod for pod in ready if pod.old][: max(0, spare)]:
        pod.deleted = now
