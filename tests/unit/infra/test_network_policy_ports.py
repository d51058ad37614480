"""The evaluator of the stacks' NetworkPolicies, held to the reference of the API: ports, addresses, pods on hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.network_policies import INTERNET, PRIVATE, Cluster, External, block_covers, subtract
from support.policy_questions import BASE, WEB, Json, app, ask, inward, outward, policy, workload

# ------------------------------------------------------------------ ports


def open_ports(ports: Any, *, protocol: str = "TCP", tried: tuple[int, ...] = (53, 8079, 8080, 8081, 8090)) -> set[int]:
    rules = [{"from": [app("a")]} | ({} if ports == "missing" else {"ports": ports})]
    return {port for port in tried if ask(policy("b", ingress=rules), port=port, protocol=protocol)}


@pytest.mark.parametrize("ports", ["missing", [], None])
def test_without_ports_all_of_every_protocol_are_open(ports: object) -> None:
    for protocol in ("TCP", "UDP", "SCTP"):
        assert open_ports(ports, protocol=protocol) == {53, 8079, 8080, 8081, 8090}


@pytest.mark.parametrize(
    ("entry", "tcp", "udp"),
    [
        ({"port": 8080}, {8080}, set()),
        ({"port": 8080, "protocol": "UDP"}, set(), {8080}),
        ({"protocol": "UDP"}, set(), {53, 8079, 8080, 8081, 8090}),
        ({"port": 8080, "endPort": 8081}, {8080, 8081}, set()),
        ({"port": 8080, "endPort": 8080}, {8080}, set()),
        ({"port": "web"}, {8080}, set()),
        ({"port": "web", "protocol": "UDP"}, set(), set()),
        ({"port": "dns", "protocol": "UDP"}, set(), {53}),
        ({"port": "dns"}, set(), set()),
        ({"port": "nobody"}, set(), set()),
    ],
)
def test_one_port_entry(entry: Json, tcp: set[int], udp: set[int]) -> None:
    assert open_ports([entry]) == tcp
    assert open_ports([entry], protocol="UDP") == udp


def test_several_port_entries_are_alternatives() -> None:
    assert open_ports([{"port": 8079}, {"port": "web"}, {"port": 53, "protocol": "UDP"}]) == {8079, 8080}


def test_an_end_port_needs_a_number_before_it() -> None:
    for entry in ({"port": "web", "endPort": 9000}, {"endPort": 9000}):
        with pytest.raises(ValueError, match="endPort"):
            open_ports([entry])


def test_a_named_port_means_the_receivers_port_in_both_directions() -> None:
    out = policy("a", policyTypes=["Egress"], egress=[{"ports": [{"port": "web"}]}])
    assert ask(out, target="one/b", port=8080)
    assert not ask(out, target="one/b", port=9090)
    assert ask(out, target="two/c", port=9090)
    assert not ask(out, target="two/c", port=8080)
    assert not outward(out, port=8080)
    assert ask(policy("b", ingress=[{"ports": [{"port": "web"}]}]))


def test_ports_and_peers_belong_to_their_own_rule() -> None:
    crossed = policy(
        "b",
        ingress=[{"from": [app("a")], "ports": [{"port": 1}]}, {"from": [app("x")], "ports": [{"port": 8080}]}],
    )
    assert not ask(crossed)
    assert ask(crossed, port=1)


# ------------------------------------------------------------------ addresses


def to_block(cidr: str, *holes: str) -> Json:
    block = {"cidr": cidr, "except": list(holes)} if holes else {"cidr": cidr}
    return policy("a", policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}], "ports": [{"port": 443}]}])


def test_an_ip_block_and_its_exceptions() -> None:
    assert outward(to_block("198.51.100.0/24"))
    assert not outward(to_block("198.51.100.0/24"), port=80)
    assert not outward(to_block("203.0.113.0/24"))
    assert not outward(to_block("198.51.100.0/24", "198.51.100.0/28"))
    assert outward(to_block("198.51.100.0/24", "198.51.100.128/25"))
    assert not outward(to_block("::/0"))
    assert outward(to_block("2001:db8::/32"), target=External.of("2001:db8::1/128"))
    assert inward(policy("b", ingress=[{"from": [{"ipBlock": {"cidr": "198.51.100.7/32"}}]}]))
    assert not inward(policy("b", ingress=[{"from": [app("a")]}]))


def test_the_internet_is_open_when_any_public_address_is() -> None:
    assert outward(target=INTERNET)
    assert outward(to_block("8.8.8.0/24"), target=INTERNET)
    assert outward(to_block("2606:4700::/32"), target=INTERNET)
    assert not outward(to_block("10.0.0.0/8"), target=INTERNET)
    assert not outward(to_block("fd00::/8"), target=INTERNET)
    assert not outward(to_block("169.254.0.0/16"), target=INTERNET)
    assert not outward(
        policy("a", policyTypes=["Egress"], egress=[{"to": [{"namespaceSelector": {}}]}]), target=INTERNET
    )


def test_a_block_reaches_pods_unless_it_leaves_their_addresses_out() -> None:
    assert ask(to_block("0.0.0.0/0"), port=443)
    assert ask(to_block("10.244.3.0/24"), port=443)
    assert not ask(to_block("198.51.100.0/24"), port=443)
    assert not ask(to_block("0.0.0.0/0", *map(str, PRIVATE[:4])), port=443)


def test_subtracting_networks() -> None:
    def rest(cidr: str, *holes: str) -> set[str]:
        return {str(n) for n in subtract(External.of(cidr).networks, External.of(*holes).networks)}

    assert rest("10.0.0.0/30", "10.0.0.0/32") == {"10.0.0.1/32", "10.0.0.2/31"}
    assert rest("10.0.0.0/30", "10.0.0.0/32", "10.0.0.2/31") == {"10.0.0.1/32"}
    assert rest("10.0.0.0/30", "10.0.0.0/8") == set()
    assert rest("10.0.0.0/30", "::/0", "10.0.1.0/24") == {"10.0.0.0/30"}
    assert not block_covers("10.0.0.0/8", ("10.0.0.0/9", "10.128.0.0/9"), External.of("10.0.0.0/8").networks)


# ------------------------------------------------------------------ pods on the host's network, and what is read


def test_a_pod_on_the_hosts_network_is_a_node() -> None:
    assert ask(policy(None, policyTypes=["Egress"]), source="one/node")
    assert ask(policy("node", policyTypes=["Ingress"]), target="one/node", port=9100)
    assert not ask(policy("b", ingress=[{"from": [app("node")]}]), source="one/node")
    assert not ask(policy("b", ingress=[{"from": [{"namespaceSelector": {}}]}]), source="one/node")
    assert ask(policy("b", ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]), source="one/node")


def test_pods_are_read_from_every_kind_of_workload() -> None:
    cluster = Cluster.of([*BASE, workload("job", kind="Job"), {"kind": "Service", "metadata": {"name": "s"}}])
    assert {str(pod): pod.kind for pod in cluster.pods} == {
        "one/a": "Deployment",
        "one/b": "Deployment",
        "two/c": "StatefulSet",
        "two/d": "CronJob",
        "one/node": "DaemonSet",
        "one/job": "Job",
    }
    assert cluster.ports() == {(8080, "TCP"), (53, "UDP"), (9090, "TCP"), (9100, "TCP")}
    with pytest.raises(KeyError, match="0 workloads"):
        cluster.pod("one/nobody")


def test_ports_of_a_sidecar_count_and_those_of_a_plain_init_container_do_not() -> None:
    def ports(**init: Any) -> set[tuple[int, str]]:
        item: Mapping[str, Any] = workload("x", WEB)
        item["spec"]["template"]["spec"]["initContainers"] = [{"ports": [{"containerPort": 15090}], **init}]
        return Cluster.of([item]).ports()

    assert ports(restartPolicy="Always") == {(8080, "TCP"), (15090, "TCP")}
    assert ports() == {(8080, "TCP")}
