"""Each promised way through the VPC is open, there and back, and each other one is closed, for every kind of edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from support.balancers import CLUSTER, Balancer, balancers, join, reach
from support.eks_recordings import managed
from support.packets import Place, Vpc, outside, vpc_of
from support.recorder import named, record_with, recorded, with_inputs

from ops.stack.recording import Recording

STACKS = ("staging", "prod", "prod with an ALB", "other way")
CLIENT = "198.51.100.7"
SERVER = "192.0.2.80"
HTTPS, POSTGRES, SMTP, SSH, KUBELET, METRICS = 443, 5432, 587, 22, 10250, 9113


@cache
def recording_of(stack: str) -> Recording:
    if stack == "prod with an ALB":
        # The same recording as in `test_aws_edge.py`.
        return record_with("prod", edge={"balancer": "alb", "waf": True})
    if stack == "other way":
        return managed()
    return recorded(stack)


class Network:
    """A stack's VPC with everything in it that sends or receives."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.vpc: Vpc = vpc_of(recording)
        self.balancers = balancers(recording)
        join(self.vpc, self.balancers)
        private, database, public = (self.vpc.tier(tier) for tier in ("private", "database", "public"))
        self.pods = [self.vpc.place("pod", subnet, CLUSTER, host=30) for subnet in private]
        self.control_planes = [self.vpc.place("API server", subnet, CLUSTER, host=31) for subnet in private]
        self.endpoints = [
            self.vpc.place("endpoint", subnet, "network-endpoints-group-id", host=32) for subnet in private
        ]
        self.databases = [self.vpc.place("database", subnet, "database-group-id") for subnet in database]
        self.strangers = [self.vpc.place("stranger", subnet, "network-default-id", host=40) for subnet in private]
        self.vpc.groups["network-default-id"] = {}
        self.public_host = self.vpc.place("public host", public[0], host=41, public=True)
        self.function = self._function()

    def _function(self) -> Place:
        """The rotation function: in the VPC if it is configured so, else at some address of AWS."""
        item = named(self.recording, "rotation-function")
        config = item.inputs.get("vpcConfig")
        if config is None:
            return outside("203.0.113.200")
        subnet = self.vpc.subnets[config["subnetIds"][0]]
        return self.vpc.place("function", subnet, *config["securityGroupIds"], host=33)

    def balancer(self, host: str) -> Balancer:
        """The balancer that a host's record points at."""
        record = named(self.recording, f"addresses-{host}")
        (name,) = record.inputs["records"]
        return self.balancers[name.removesuffix(".elb.example.com")]

    def promised(self) -> Iterator[tuple[str, list[str]]]:
        """Each way that must be open, with what stops it."""
        yield "client to API", reach(self.vpc, self.balancer("api"), outside(CLIENT))
        for host in ("mlflow", "grafana"):
            yield f"rotation to {host}", reach(self.vpc, self.balancer(host), self.function, only=HTTPS)
            yield f"client inside to {host}", reach(self.vpc, self.balancer(host), self.pods[-1])
        for pod in self.pods:
            for endpoint in self.endpoints:
                yield "pod to endpoint", self.vpc.refusals(pod, endpoint, HTTPS)
            for database in self.databases:
                yield "pod to database", self.vpc.refusals(pod, database, POSTGRES)
            for server in self.control_planes:
                yield "pod to API server", self.vpc.refusals(pod, server, HTTPS)
                yield "API server to kubelet", self.vpc.refusals(server, pod, KUBELET)
            for other in self.pods:
                yield "pod to pod", self.vpc.refusals(other, pod, METRICS)
            for port in (HTTPS, SMTP):
                yield "node to internet", self.vpc.refusals(pod, outside(SERVER), port)
        for endpoint in self.endpoints:
            yield "rotation to endpoint", self.vpc.refusals(self.function, endpoint, HTTPS)

    def refused(self) -> Iterator[tuple[str, list[str]]]:
        """Each way that must be closed, with what stops it."""
        yield from self._from_internet()
        for balancer in self.balancers.values():
            if balancer.grouped:
                yield from self._beside(balancer)
        yield from self._inside()
        yield "function to internet", self.vpc.refusals(self.function, outside(SERVER), HTTPS)

    def _from_internet(self) -> Iterator[tuple[str, list[str]]]:
        client = outside(CLIENT)
        for target in (*self.pods, *self.databases, *self.endpoints, *self.control_planes):
            for port in (80, HTTPS, SSH, POSTGRES, KUBELET, 30000):
                yield f"internet to {target.name}:{port}", self.vpc.refusals(client, target, port)
        for host in ("mlflow", "grafana"):
            yield f"internet to {host}", reach(self.vpc, self.balancer(host), client)

    def _beside(self, balancer: Balancer) -> Iterator[tuple[str, list[str]]]:
        """Ports of a balancer, and of pods behind it, that nobody listens to for clients."""
        client = outside(CLIENT)
        node = balancer.place(self.vpc, balancer.subnets(self.vpc)[0])
        for port in (SSH, 8081, METRICS):
            yield f"client to {balancer.name}:{port}", self.vpc.refusals(client, node, port)
        for port in (SSH, KUBELET, METRICS):
            steps = self.vpc.forwarded(client.address, node, self.pods[0], port, preserved=balancer.preserved)
            yield f"{balancer.name} to pod:{port}", steps

    def _inside(self) -> Iterator[tuple[str, list[str]]]:
        others = (self.function, self.public_host, *self.strangers)
        for database in self.databases:
            yield "database to internet", self.vpc.refusals(database, outside(SERVER), HTTPS)
            for source in (*others, *(each for each in self.databases if each != database)):
                yield f"{source.name} to database", self.vpc.refusals(source, database, POSTGRES)
        for pod in self.pods:
            for source in others:
                for port in (SSH, KUBELET, METRICS, 8000):
                    yield f"{source.name} to pod:{port}", self.vpc.refusals(source, pod, port)


def closed(ways: Iterator[tuple[str, list[str]]]) -> dict[str, list[str]]:
    return {name: stops for name, stops in ways if stops}


def opened(ways: Iterator[tuple[str, list[str]]]) -> list[str]:
    return [name for name, stops in ways if not stops]


@pytest.mark.parametrize("stack", STACKS)
def test_promised_ways_are_open_and_all_others_are_closed(stack: str) -> None:
    network = Network(recording_of(stack))
    assert closed(network.promised()) == {}
    assert opened(network.refused()) == []


@pytest.mark.parametrize("stack", STACKS)
def test_only_the_api_is_public(stack: str) -> None:
    network = Network(recording_of(stack))
    assert {host: network.balancer(host).internal for host in ("api", "mlflow", "grafana")} == {
        "api": False,
        "mlflow": True,
        "grafana": True,
    }


# ------------------------------------------------------------------ what the simulator must find


def changed(stack: str, name: str, change: Callable[[dict[str, Any]], object]) -> Network:
    recording = recording_of(stack)
    return Network(with_inputs(recording, named(recording, name), change))


def without_port(port: int, way: str = "ingress") -> Callable[[dict[str, Any]], object]:
    def change(inputs: dict[str, Any]) -> None:
        inputs[way] = [rule for rule in inputs[way] if (rule["fromPort"], rule["toPort"]) != (port, port)]

    return change


def only_range(inputs: dict[str, Any]) -> None:
    """Let answers in at half of the ports only."""
    for rule in inputs["ingress"]:
        if rule["toPort"] == 65535:
            rule["fromPort"] = 32768


def test_a_list_of_the_private_subnets_without_the_edges_ports_stops_every_client() -> None:
    """The NLB's health checks would stay green: they come from addresses of the VPC."""
    network = changed("staging", "network-lists-private", without_port(443))
    assert closed(network.promised()) == {"client to API": ["balancer to 443: list of private, in"]}


def test_where_the_balancer_hides_clients_the_private_subnets_stay_closed() -> None:
    for stack in ("prod with an ALB", "other way"):
        lists = named(recording_of(stack), "network-lists-private")
        admitted = {(rule["cidrBlock"], rule["fromPort"]) for rule in lists.inputs["ingress"]}
        assert not admitted & {("0.0.0.0/0", 80), ("0.0.0.0/0", 443)}


@pytest.mark.parametrize(
    ("name", "change", "way"),
    [
        ("network-lists-public", without_port(443), "client to API"),
        ("network-lists-public", only_range, "node to internet"),
        ("network-lists-private", only_range, "node to internet"),
        ("network-lists-database", lambda inputs: inputs.update(egress=[]), "pod to database"),
        ("database-clients", lambda inputs: inputs.update(referencedSecurityGroupId="other"), "pod to database"),
        ("network-endpoints-https", lambda inputs: inputs.update(cidrIpv4="192.0.2.0/24"), "pod to endpoint"),
        ("rotation-https", lambda inputs: inputs.update(toPort=80, fromPort=80), "rotation to mlflow"),
        ("network-public-default", lambda inputs: inputs.update(destinationCidrBlock="192.0.2.0/25"), "client to API"),
    ],
)
def test_a_way_that_is_cut_is_found(name: str, change: Callable[[dict[str, Any]], object], way: str) -> None:
    assert way in closed(changed("staging", name, change).promised())


def public(inputs: dict[str, Any]) -> None:
    inputs["metadata"]["annotations"]["service.beta.kubernetes.io/aws-load-balancer-scheme"] = "internet-facing"
    inputs["spec"].pop("loadBalancerSourceRanges")


@pytest.mark.parametrize(
    ("name", "change", "way"),
    [
        ("ingress-internal-service", public, "internet to mlflow"),
        ("rotation-https", lambda inputs: inputs.update(cidrIpv4="0.0.0.0/0"), "function to internet"),
        ("addresses-grafana", lambda i: i.update(records=["ingress-service.elb.example.com"]), "internet to grafana"),
    ],
)
def test_a_way_that_should_be_closed_is_found(name: str, change: Callable[[dict[str, Any]], object], way: str) -> None:
    assert way in opened(changed("staging", name, change).refused())
