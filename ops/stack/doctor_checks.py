"""What `pulumi up` would stumble over in a cluster, as pure functions of what kubectl shows.

Each check returns a finding in one line. An error stops `churn cluster up`: the stack could not come up. A warning does
not: something works less well than it should.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from infra.naming import NAMESPACES
from ops.stack.demand import Demand, Room, of_pod, room
from ops.stack.metrics_server import API as METRICS_API

Json = Mapping[str, Any]


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination, with what to do about it unless all is well."""

    check: str
    level: Level
    text: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the checks look at: objects of the cluster by kind, and this machine."""

    context: str
    machine: str
    """Architecture of this machine, in Kubernetes' words: where the images are built."""
    busy_ports: Sequence[int] = ()
    """Ports of this machine that the instructions use, and that another program has."""
    objects: Mapping[str, Sequence[Json]] = field(default_factory=dict)

    def of(self, kind: str) -> Sequence[Json]:
        """Return the objects of a kind."""
        return self.objects.get(kind, ())


KINDS: Final = ("nodes", "pods", "daemonsets.apps", "services", "storageclasses", "apiservices")
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
ENFORCING: Final = (
    "calico-node",
    "canal",
    "cilium",
    "antrea-agent",
    "kube-router",
    "weave-net",
    "ovnkube-node",
    "aws-node",
)
"""DaemonSets whose programs can enforce network policies."""
KINDNET_ENFORCES: Final = "20240813"
"""Date in the tag of kind 0.24's kindnetd, the first that enforces them (kubernetes-sigs/kind issue 842)."""
PUBLISHED: Final = frozenset({"amd64", "arm64"})
"""Architectures for which all the public images exist."""
EDGE_PORTS: Final = frozenset({80, 443})


def _finding(check: str, level: Level, text: str, remedy: str = "") -> Finding:
    return Finding(check=check, level=level, text=text, remedy=remedy)


def usable(nodes: Sequence[Json]) -> list[Json]:
    """Return the nodes on which a pod without tolerations can run."""

    def is_usable(node: Json) -> bool:
        taints = node["spec"].get("taints") or []
        ready = {item["type"]: item["status"] for item in node["status"].get("conditions", [])}.get("Ready")
        return (
            ready == "True"
            and not node["spec"].get("unschedulable")
            and not any(taint["effect"] in {"NoSchedule", "NoExecute"} for taint in taints)
        )

    return [node for node in nodes if is_usable(node)]


def free(facts: Facts) -> dict[str, Room]:
    """Return by usable node what pods of others leave; pods of this platform are not counted, since `up` owns them."""
    rooms = {node["metadata"]["name"]: room(node["status"]["allocatable"]) for node in usable(facts.of("Node"))}
    for pod in facts.of("Pod"):
        node, over = pod["spec"].get("nodeName"), pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
        if node in rooms and not over and pod["metadata"]["namespace"] not in NAMESPACES:
            rooms[node] = rooms[node] - of_pod(pod["spec"])
    return rooms


def nodes(facts: Facts, demand: Demand) -> Finding:
    """Check that there is a node that takes pods."""
    del demand
    count, all_nodes = len(usable(facts.of("Node"))), len(facts.of("Node"))
    if count:
        return _finding("nodes", Level.OK, f"{count} of {all_nodes} nodes are Ready and take pods")
    remedy = "see `kubectl describe nodes`: remove the taint, run `kubectl uncordon`, or start the cluster"
    return _finding("nodes", Level.ERROR, f"none of {all_nodes} nodes is Ready and takes pods", remedy)


def resources(facts: Facts, demand: Demand) -> Finding:
    """Check that everything finds processor time and memory, with both jobs of `up` and a release of everything."""
    rooms = free(facts)
    total = sum(rooms.values(), Room())
    if not any(demand.largest.fits(each) for each in rooms.values()) or not demand.steady.fits(total):
        remedy = (
            "give the cluster (or Docker's machine) more, stop other pods, or lower the requests in the stack's file"
        )
        text = f"{total} are free, and the stack requests {demand.steady} without its jobs: pods would stay Pending"
        return _finding("resources", Level.ERROR, text, remedy)
    if not demand.most.fits(total):
        remedy = "jobs and new pods wait for each other; give the cluster more if `up` ends with a time-out"
        text = f"{total} are free, and the stack requests up to {demand.most} at once"
        return _finding("resources", Level.WARNING, text, remedy)
    return _finding("resources", Level.OK, f"{total} are free, and the stack requests up to {demand.most} at once")


def architecture(facts: Facts, demand: Demand) -> Finding:
    """Check that images which are built on this machine run on the nodes."""
    del demand
    kinds = {node["status"].get("nodeInfo", {}).get("architecture", "unknown") for node in usable(facts.of("Node"))}
    names = ", ".join(sorted(kinds))
    if kinds - PUBLISHED:
        remedy = f"use nodes of {' or '.join(sorted(PUBLISHED))}"
        return _finding("architecture", Level.ERROR, f"the nodes are {names}, for which images do not exist", remedy)
    if kinds - {facts.machine}:
        other = min(kinds - {facts.machine})
        remedy = f"build for the nodes: --tool 'docker build --platform linux/{other}'"
        text = f"the nodes are {names}, and this machine builds images for {facts.machine}"
        return _finding("architecture", Level.WARNING, text, remedy)
    return _finding("architecture", Level.OK, f"the nodes run images for {names or facts.machine}")


def storage(facts: Facts, demand: Demand) -> Finding:
    """Check that claims get volumes by default, and that those can grow."""
    del demand
    default = [
        item
        for item in facts.of("StorageClass")
        if item["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"
    ]
    names = ", ".join(item["metadata"]["name"] for item in default)
    if not default:
        command = f"kubectl annotate storageclass NAME {DEFAULT_CLASS}=true"
        text = "there is no default storage class: volumes would stay Pending"
        return _finding("storage", Level.ERROR, text, f"make one the default: {command}")
    if len(default) > 1:
        text = f"{names} are all default storage classes: the newest is used"
        return _finding(
            "storage", Level.WARNING, text, f"leave one: kubectl annotate storageclass NAME {DEFAULT_CLASS}-"
        )
    if not default[0].get("allowVolumeExpansion"):
        remedy = "choose storage_gib and artifacts_gib large enough now, or use a class with allowVolumeExpansion: true"
        text = f"volumes of the default storage class, {names}, cannot grow later"
        return _finding("storage", Level.WARNING, text, remedy)
    return _finding("storage", Level.OK, f"volumes of the default storage class, {names}, can grow")


def network_policies(facts: Facts, demand: Demand) -> Finding:
    """Check that something enforces network policies; without that, every pod may connect to every other."""
    del demand
    for item in facts.of("DaemonSet"):
        name = item["metadata"]["name"]
        if name in ENFORCING:
            return _finding("network policies", Level.OK, f"{name} can enforce them")
        if name == "kindnet":
            return _kindnet(item)
    if any("+k3s" in node["status"].get("nodeInfo", {}).get("kubeletVersion", "") for node in facts.of("Node")):
        return _finding("network policies", Level.OK, "k3s enforces them")
    remedy = "use kind 0.24 or newer, `minikube start --cni=calico`, or install Calico or Cilium"
    text = "nothing in the cluster is known to enforce them: every pod may connect to every other"
    return _finding("network policies", Level.WARNING, text, remedy)


def _kindnet(item: Json) -> Finding:
    images = [container["image"] for container in item["spec"]["template"]["spec"]["containers"]]
    dates = [match[1] for image in images if (match := re.search(r":v(\d{8})", image))]
    if dates and max(dates) >= KINDNET_ENFORCES:
        return _finding("network policies", Level.OK, "kindnet enforces them")
    text = "this kindnet enforces none: every pod may connect to every other"
    return _finding("network policies", Level.WARNING, text, "create the cluster with kind 0.24 or newer")


def metrics(facts: Facts, demand: Demand) -> Finding:
    """Check that autoscalers learn what pods use."""
    del demand
    for item in facts.of("APIService"):
        if item["metadata"]["name"] == METRICS_API:
            states = {condition["type"]: condition for condition in item.get("status", {}).get("conditions", [])}
            available = states.get("Available", {})
            if available.get("status") == "True":
                return _finding("metrics", Level.OK, "the metrics API is available")
            text = f"the metrics API is registered, but not available: {available.get('reason', 'unknown')}"
            return _finding(
                "metrics", Level.WARNING, text, "see `kubectl -n kube-system describe pods -l k8s-app=metrics-server`"
            )
    text = "there is no metrics API: the API's autoscaler would never act"
    return _finding("metrics", Level.WARNING, text, _metrics_remedy(facts.context))


def _metrics_remedy(context: str) -> str:
    if context.startswith("kind-"):
        return "`churn cluster up` installs metrics-server on kind"
    if context.startswith("minikube"):
        return "minikube addons enable metrics-server"
    return "install metrics-server: https://github.com/kubernetes-sigs/metrics-server"


def ports(facts: Facts, demand: Demand) -> Finding:
    """Check that the edge gets its ports in the cluster, and the forwarded ones on this machine."""
    del demand
    for service in facts.of("Service"):
        spec, metadata = service["spec"], service["metadata"]
        taken = sorted({port["port"] for port in spec.get("ports", [])} & EDGE_PORTS)
        if spec.get("type") == "LoadBalancer" and taken and metadata["namespace"] not in NAMESPACES:
            numbers = " and ".join(map(str, taken))
            name = f"{metadata['namespace']}/{metadata['name']}"
            text = f"Service {name} is a load balancer on port {numbers}, as the edge is"
            return _finding("ports", Level.WARNING, text, "remove it, or reach the edge through kubectl port-forward")
    if facts.busy_ports:
        numbers = " and ".join(map(str, facts.busy_ports))
        remedy = "forward to another port than the printed commands do"
        return _finding("ports", Level.WARNING, f"port {numbers} of this machine is in use", remedy)
    return _finding("ports", Level.OK, "no other load balancer wants port 80 or 443, and the forwarded port is free")


Check = Callable[[Facts, Demand], Finding]
CHECKS: Final[tuple[Check, ...]] = (nodes, resources, storage, network_policies, metrics, architecture, ports)
