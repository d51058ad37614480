"""What service accounts may ask of the API server: by the rendered roles, and by the server's own answer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from support.kubectl import Json, Kubectl

Right = tuple[str, ...]
"""Verb, API group, resource and object name (or `*`); for a path of the server, verb and path."""


def _rights(rules: Iterable[Json]) -> set[Right]:
    rights: set[Right] = set()
    for rule in rules:
        of_objects = (rule.get("apiGroups", []), rule.get("resources", []), rule.get("resourceNames") or ["*"])
        rights |= set(product(rule["verbs"], *of_objects))
        rights |= set(product(rule["verbs"], rule.get("nonResourceURLs", [])))
    return rights


def declared(objects: Iterable[Json], account: str, of: str, within: str) -> set[Right]:
    """Rights of an account of the namespace ``of`` in the namespace ``within``, by the rendered bindings."""
    known = list(objects)
    roles = {
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): item["rules"]
        for item in known
        if item["kind"] in {"Role", "ClusterRole"}
    }
    rights: set[Right] = set()
    for binding in known:
        where = binding["metadata"].get("namespace")
        if binding["kind"] not in {"RoleBinding", "ClusterRoleBinding"} or where not in {None, within}:
            continue
        subjects = {(subject["kind"], subject.get("namespace"), subject["name"]) for subject in binding["subjects"]}
        if ("ServiceAccount", of, account) in subjects:
            role = binding["roleRef"]
            rights |= _rights(roles[role["kind"], where if role["kind"] == "Role" else None, role["name"]])
    return rights


def granted(kubectl: Kubectl, account: str, of: str, within: Iterable[str]) -> dict[str, set[Right]]:
    """Rights of an account in each namespace, as the server itself answers."""
    reviews: list[dict[str, Any]] = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "metadata": {"name": "review"},
            "spec": {"namespace": namespace},
        }
        for namespace in within
    ]
    user = f"--as=system:serviceaccount:{of}:{account}"
    answers = kubectl.run("create", user, "--output", "json", "-f", "-", objects=reviews).items()
    return {
        review["spec"]["namespace"]: _rights(
            [*answer["status"]["resourceRules"], *answer["status"]["nonResourceRules"]]
        )
        for review, answer in zip(reviews, answers, strict=True)
    }
