"""CustomResourceDefinitions of the add-ons the stacks use, from the published modules that `tests/tools/crds` locks."""

from __future__ import annotations

import functools
from typing import Any

import yaml
from support.tools import go_module

FILES = {
    "istio.io/api": "kubernetes/customresourcedefinitions.gen.yaml",
    "sigs.k8s.io/karpenter": "pkg/apis/crds/karpenter.sh_nodepools.yaml",
    "sigs.k8s.io/secrets-store-csi-driver": "config/crd/bases/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml",
}
KINDS = {
    ("karpenter.sh/v1", "NodePool"),
    ("security.istio.io/v1", "PeerAuthentication"),
    ("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass"),
}
"""Custom kinds that a stack may use."""
UNPUBLISHED = {("eks.amazonaws.com/v1", "NodeClass"), ("eks.amazonaws.com/v1", "IngressClassParams")}
"""Kinds that only an EKS cluster with Auto Mode defines: their objects cannot be checked here."""


def permissive() -> list[dict[str, Any]]:
    """Stand-ins for the unpublished definitions that accept anything, so that a cluster can take a whole stack."""
    return [_permissive(version, kind) for version, kind in sorted(UNPUBLISHED)]


def _permissive(api_version: str, kind: str) -> dict[str, Any]:
    group, _, version = api_version.partition("/")
    plural = f"{kind.lower()}es" if kind.endswith("s") else f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}},
            ],
        },
    }


@functools.cache
def definitions() -> tuple[dict[str, Any], ...]:
    """The published definitions of :data:`KINDS`."""
    names = {(version.partition("/")[0], kind) for version, kind in KINDS}
    documents = [
        document
        for module, path in FILES.items()
        for document in yaml.load_all(
            (go_module("crds", module) / path).read_text(encoding="utf-8"),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
        if document and (document["spec"]["group"], document["spec"]["names"]["kind"]) in names
    ]
    assert len(documents) == len(names)
    return tuple(documents)


def schema(api_version: str, kind: str) -> dict[str, Any]:
    """The JSON schema of one kind, closed: a field it does not name is an error, as in strict field validation."""
    group, _, version = api_version.partition("/")
    for document in definitions():
        if (document["spec"]["group"], document["spec"]["names"]["kind"]) == (group, kind):
            for served in document["spec"]["versions"]:
                if served["name"] == version:
                    root: dict[str, Any] = served["schema"]["openAPIV3Schema"]
                    known = {name: {"type": "string"} for name in ("apiVersion", "kind")} | {"metadata": {}}
                    return _closed(root | {"properties": root["properties"] | known})
    raise KeyError(f"no definition of {api_version} {kind}")


def _closed(node: dict[str, Any]) -> dict[str, Any]:
    """The same schema, in which objects with named fields may have no others.

    A definition's structure is in these three keywords only: ``oneOf`` and ``not`` restrict and name nothing new.
    """
    result = dict(node)
    if "properties" in node:
        result["properties"] = {name: _closed(child) for name, child in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), dict):
            result[keyword] = _closed(node[keyword])
    return result
