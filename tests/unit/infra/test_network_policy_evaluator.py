"""The evaluator of the stacks' NetworkPolicies, held to the reference of the API: isolation, peers, selectors."""

from __future__ import annotations

import pytest
from support.network_policies import INTERNET, Cluster, selects
from support.policy_questions import OUTSIDE, Json, app, ask, inward, outward, policy, workload

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
