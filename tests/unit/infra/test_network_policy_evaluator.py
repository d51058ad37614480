"""The evaluator that judges the stacks' NetworkPolicies, held to the API's reference sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.network_policies import INTERNET, PRIVATE, Cluster, External, block_covers, selects, subtract

Json = dict[str, Any]

WEB = {"name": "web", "containerPort": 8080}


def namespace(name: str, **labels: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def workload(name: str, *ports: Json, ns: str = "one", kind: str = "Deployment", host: bool = False) -> Json:
    pod = {
        "metadata": {"labels": {"app": name, "tier": "back" if ports else "front"}},
        "spec": {"hostNetwork": host, "containers": [{"name": "main", "ports": list(ports)}]},
    }
    spec = {"jobTemplate": {"spec": {"template": pod}}} if kind == "CronJob" else {"template": pod}
    return {"kind": kind, "metadata": {"name": name, "namespace": ns}, "spec": spec}


def policy(app: str | None, *, ns: str = "one", **spec: Any) -> Json:
    selector = {} if app is None else {"matchLabels": {"app": app}}
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": ns},
        "spec": {"podSelector": selector} | spec,
    }


def app(name: str) -> Json:
    return {"podSelector": {"matchLabels": {"app": name}}}


BASE = [
    namespace("one", team="blue"),
    namespace("two", team="red"),
    workload("a"),
    workload("b", WEB, {"name": "dns", "containerPort": 53, "protocol": "UDP"}),
    workload("c", {"name": "web", "containerPort": 9090}, ns="two", kind="StatefulSet"),
    workload("d", ns="two", kind="CronJob"),
    workload("node", {"name": "metrics", "containerPort": 9100}, kind="DaemonSet", host=True),
]
OUTSIDE = External.of("198.51.100.7/32")


def ask(*policies: Json, source: str = "one/a", target: str = "one/b", port: int = 8080, protocol: str = "TCP") -> bool:
    cluster = Cluster.of([*BASE, *policies])
    return cluster.allows(cluster.pod(source), cluster.pod(target), port, protocol)


def outward(*policies: Json, source: str = "one/a", target: External = OUTSIDE, port: int = 443) -> bool:
    cluster = Cluster.of([*BASE, *policies])
    return cluster.allows(cluster.pod(source), target, port)


def inward(*policies: Json, source: External = OUTSIDE, target: str = "one/b", port: int = 8080) -> bool:
    cluster = Cluster.of([*BASE, *policies])
    return cluster.allows(source, cluster.pod(target), port)


# ------------------------------------------------------------------ which pods are isolated


def test_without_a_policy_everything_is_open() -> None:
    assert ask()
    assert ask(port=1, protocol="SCTP")
    assert outward()
    assert inward()
    assert Cluster.of([]).allows(OUTSIDE, INTERNET, 1)


def test_no_rule_denies_the_selected_pods_only() -> None:
    deny = policy("b", policyTypes=["Ingress"])
    assert not ask(deny)
    assert not inward(deny)
    assert not ask(policy("b", policyTypes=["Ingress"], ingress=[]))
    assert ask(deny, source="one/b", target="one/a")
    assert ask(deny, target="two/c")


def test_an_empty_selector_takes_every_pod_of_the_policys_namespace() -> None:
    deny = policy(None, policyTypes=["Ingress", "Egress"])
    assert not ask(deny)
    assert not ask(deny, target="two/c")
    assert not ask(deny, source="two/d")
    assert ask(deny, source="two/d", target="two/c")


def test_both_ends_must_allow() -> None:
    closed = [policy(None, policyTypes=["Ingress", "Egress"])]
    out, into = (
        policy("a", policyTypes=["Egress"], egress=[{"to": [app("b")]}]),
        policy("b", policyTypes=["Ingress"], ingress=[{"from": [app("a")]}]),
    )
    assert not ask(*closed, out)
    assert not ask(*closed, into)
    assert ask(*closed, out, into)


def test_policies_add_up() -> None:
    first = policy("b", ingress=[{"from": [app("x")]}])
    second = policy("b", ingress=[{"from": [app("a")]}])
    assert not ask(first)
    assert ask(first, second)
    assert ask(second, first)


@pytest.mark.parametrize(
    ("spec", "ingress_isolated", "egress_isolated"),
    [
        ({}, True, False),
        ({"egress": []}, True, False),
        ({"egress": [{"to": [app("x")]}]}, True, True),
        ({"policyTypes": ["Egress"]}, False, True),
        ({"policyTypes": ["Ingress"], "egress": [{"to": [app("x")]}]}, True, False),
        ({"policyTypes": ["Egress"], "ingress": [{"from": [app("x")]}]}, False, True),
    ],
)
def test_policy_types_and_their_default(spec: Json, *, ingress_isolated: bool, egress_isolated: bool) -> None:
    assert inward(policy("b", **spec)) is not ingress_isolated
    assert outward(policy("b", **spec), source="one/b") is not egress_isolated


# ------------------------------------------------------------------ peers


@pytest.mark.parametrize("rule", [{}, {"from": []}, {"from": None}])
def test_a_rule_without_peers_takes_all_of_them(rule: Json) -> None:
    assert ask(policy("b", ingress=[rule]))
    assert ask(policy("b", ingress=[rule]), source="two/d")
    assert inward(policy("b", ingress=[rule]))


@pytest.mark.parametrize("rule", [{}, {"to": []}, {"to": None}])
def test_an_egress_rule_without_peers_takes_all_of_them(rule: Json) -> None:
    assert ask(policy("a", egress=[rule], policyTypes=["Egress"]))
    assert outward(policy("a", egress=[rule], policyTypes=["Egress"]))


def test_a_pod_selector_alone_means_the_policys_own_namespace() -> None:
    rule = policy("b", ingress=[{"from": [{"podSelector": {}}]}])
    assert ask(rule)
    assert not ask(rule, source="two/d")
    assert not inward(rule)
    assert ask(policy("c", ns="two", ingress=[{"from": [{"podSelector": {}}]}]), source="two/d", target="two/c")


def test_a_namespace_selector_alone_means_all_its_pods() -> None:
    red = policy("b", ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}}}]}])
    assert ask(red, source="two/d")
    assert not ask(red)
    every = policy("b", ingress=[{"from": [{"namespaceSelector": {}}]}])
    assert ask(every)
    assert ask(every, source="two/d")
    assert not inward(every)


def test_the_name_label_of_a_namespace_is_always_there() -> None:
    by_name = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "two"}}}
    assert ask(policy("b", ingress=[{"from": [by_name]}]), source="two/d")
    cluster = Cluster.of([workload("x", ns="two"), workload("b"), policy("b", ingress=[{"from": [by_name]}])])
    assert cluster.allows(cluster.pod("two/x"), cluster.pod("one/b"), 1)


def test_both_selectors_of_one_peer_must_match_and_two_peers_are_alternatives() -> None:
    red = {"namespaceSelector": {"matchLabels": {"team": "red"}}}
    both = policy("b", ingress=[{"from": [red | app("d")]}])
    assert ask(both, source="two/d")
    assert not ask(both, source="two/c")
    assert not ask(both, source="one/a")
    either = policy("b", ingress=[{"from": [red, app("a")]}])
    assert ask(either, source="two/c")
    assert ask(either, source="one/a")
    assert not ask(either, source="one/b")


@pytest.mark.parametrize("peer", [{}, {"pods": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}, "podSelector": {}}])
def test_a_peer_that_the_api_refuses_is_an_error(peer: Json) -> None:
    with pytest.raises(ValueError, match="peer"):
        ask(policy("b", ingress=[{"from": [peer]}]))


# ------------------------------------------------------------------ selectors


@pytest.mark.parametrize(
    ("expression", "here", "other", "absent"),
    [
        ({"operator": "In", "values": ["x", "y"]}, True, False, False),
        ({"operator": "NotIn", "values": ["x", "y"]}, False, True, True),
        ({"operator": "Exists"}, True, True, False),
        ({"operator": "DoesNotExist"}, False, False, True),
    ],
)
def test_match_expressions(expression: Json, *, here: bool, other: bool, absent: bool) -> None:
    selector = {"matchExpressions": [{"key": "k"} | expression]}
    assert selects(selector, {"k": "x"}) is here
    assert selects(selector, {"k": "z"}) is other
    assert selects(selector, {"l": "x"}) is absent


def test_labels_and_expressions_of_one_selector_must_all_match() -> None:
    selector = {
        "matchLabels": {"a": "1", "b": "2"},
        "matchExpressions": [{"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"}],
    }
    assert selects(selector, {"a": "1", "b": "2", "c": ""})
    for labels in ({"a": "1", "c": ""}, {"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "", "d": ""}):
        assert not selects(selector, labels)
    assert selects({}, {})
    assert selects({"matchLabels": None, "matchExpressions": None}, {"a": "1"})


def test_an_unknown_operator_or_field_is_an_error() -> None:
    with pytest.raises(ValueError, match="Near"):
        selects({"matchExpressions": [{"key": "k", "operator": "Near"}]}, {})
    with pytest.raises(ValueError, match="matchlabels"):
        selects({"matchlabels": {"a": "1"}}, {})


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
