"""What the pods of a stack request together, so that a cluster's room can be judged before anything is created.

The rules are the scheduler's: a pod counts with its containers, or with the largest of its start if that is more.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

SIZES: Final = {
    "": 1,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
"""Factor of each suffix of a Kubernetes quantity that nodes, pods and metrics have."""
MEBIBYTE: Final = 2**20


def quantity(value: str | float) -> float:
    """Convert a Kubernetes quantity, such as ``250m``, ``2`` or ``1Gi``, to a number.

    Raises:
        ValueError: it is none.
    """
    parts = re.fullmatch(r"([0-9.]+(?:[eE][0-9]+)?)([a-zA-Z]*)", str(value))
    if parts is None or parts[2] not in SIZES:
        raise ValueError(f"{value!r} is not a Kubernetes quantity")
    return float(parts[1]) * SIZES[parts[2]]


@dataclass(frozen=True)
class Room:
    """Processor time in thousandths of a CPU, and memory in MiB."""

    milli: int = 0
    mib: int = 0

    def __add__(self, other: Room) -> Room:
        return Room(self.milli + other.milli, self.mib + other.mib)

    def __sub__(self, other: Room) -> Room:
        return Room(self.milli - other.milli, self.mib - other.mib)

    def __mul__(self, count: int) -> Room:
        return Room(self.milli * count, self.mib * count)

    def fits(self, free: Room) -> bool:
        """Whether there is room for this much."""
        return self.milli <= free.milli and self.mib <= free.mib

    def at_least(self, other: Room) -> Room:
        """Return the larger of both, for processor and memory by itself."""
        return Room(max(self.milli, other.milli), max(self.mib, other.mib))

    def __str__(self) -> str:
        return f"{self.milli}m of CPU and {self.mib} MiB of memory"


def room(values: Mapping[str, Any]) -> Room:
    """Return a list of requests, or what a node can give, as room; parts of a unit count as a whole one."""
    return Room(
        milli=math.ceil(round(quantity(values.get("cpu", 0)) * 1000, 6)),
        mib=math.ceil(quantity(values.get("memory", 0)) / MEBIBYTE),
    )


def of_pod(spec: Mapping[str, Any]) -> Room:
    """Return what a pod requests: all its containers, or the most that its start needs at once.

    A container of the start that keeps running (`restartPolicy: Always`) counts with all that come after it.
    """

    def asked(container: Mapping[str, Any]) -> Room:
        return room(container.get("resources", {}).get("requests", {}))

    lasting, starting = Room(), Room()
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            lasting = lasting + asked(container)
            starting = starting.at_least(lasting)
        else:
            starting = starting.at_least(lasting + asked(container))
    for container in spec["containers"]:
        lasting = lasting + asked(container)
    return lasting.at_least(starting)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a stack requests, by when."""

    steady: Room
    """Of everything that runs all the time, with autoscaled workloads at their minimum."""
    surge: Room
    """Of the new pods that start beside the old ones when every workload is released at once."""
    jobs: Room
    """Of the Jobs that `pulumi up` waits for, all at once."""
    scheduled: Room
    """Of the largest scheduled job; they are hours apart."""
    largest: Room
    """Of the largest pod, which needs a node with that much room."""

    @property
    def most(self) -> Room:
        """Return the most that is requested at once: a release of everything, or a scheduled job beside the rest."""
        return (self.steady + self.surge + self.jobs).at_least(self.steady + self.scheduled)


def demand(manifests: Iterable[Mapping[str, Any]], *, nodes: int = 1) -> Demand:
    """Return what these objects request on a cluster with so many nodes."""
    objects = list(manifests)
    least = {
        (item["metadata"]["namespace"], item["spec"]["scaleTargetRef"]["name"]): item["spec"].get("minReplicas", 1)
        for item in objects
        if item["kind"] == "HorizontalPodAutoscaler"
    }
    steady = surge = jobs = scheduled = largest = Room()
    for item in objects:
        kind, spec = item["kind"], item.get("spec", {})
        if kind == "CronJob":
            pod = of_pod(spec["jobTemplate"]["spec"]["template"]["spec"])
            scheduled = scheduled.at_least(pod)
        elif kind == "Job":
            pod = of_pod(spec["template"]["spec"])
            jobs = jobs + pod
        elif kind == "DaemonSet":
            pod = of_pod(spec["template"]["spec"])
            steady = steady + pod * nodes
        elif kind in {"Deployment", "StatefulSet"}:
            pod = of_pod(spec["template"]["spec"])
            name = (item["metadata"]["namespace"], item["metadata"]["name"])
            replicas = int(spec.get("replicas") or least.get(name, 1))
            steady = steady + pod * replicas
            if kind == "Deployment":
                surge = surge + pod * _surge(spec.get("strategy") or {}, replicas)
        else:
            continue
        largest = largest.at_least(pod)
    return Demand(steady=steady, surge=surge, jobs=jobs, scheduled=scheduled, largest=largest)


def _surge(strategy: Mapping[str, Any], replicas: int) -> int:
    """Return how many pods a Deployment may have beyond its replicas; a share is rounded up, as Kubernetes does."""
    if strategy.get("type") == "Recreate":
        return 0
    value = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(replicas * int(value.removesuffix("%")) / 100)
    return int(value)
