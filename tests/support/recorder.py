"""Whole stacks, recorded once for all test processes, and ways to find things in them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from support.paths import ROOT
from support.recording_cache import cached

from infra.cloud import CloudOutputs
from infra.config import Settings
from infra.config_loader import load, parse
from infra.versions import Images
from ops.stack import render
from ops.stack.checkout import stack_config
from ops.stack.recording import Recording, Resource, record
from ops.stack.render import stack_program

STACKS: Final = ("dev", "staging", "prod")


class MadeUpDigests(dict[str, str]):
    """A digest for every image: made up, since none can be looked up here; only tests use them."""

    def get(self, key: str, default: str | None = None) -> str:  # type: ignore[override]  # narrower on purpose
        del default
        return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def config(stack: str) -> dict[str, Any]:
    """The configuration of a stack as its file has it."""
    return stack_config(stack, ROOT)


def settings(stack: str) -> Settings:
    """The settings of a stack."""
    prefix = "churn:"
    return parse(stack, {key.removeprefix(prefix): value for key, value in config(stack).items()})


def own_image(stack: str, name: str) -> str:
    """The name by which a stack asks for an image, without a digest."""
    return Images(settings=settings(stack).images, digests={}).tagged(name)


def record_with(stack: str, **sections: Mapping[str, Any]) -> Recording:
    """A stack with parts of its configuration changed: ``record_with("dev", cache={"enabled": True})``."""
    changed = config(stack)
    for section, values in sections.items():
        changed[f"churn:{section}"] = {**changed[f"churn:{section}"], **values}
    return cached(stack, changed, lambda: record(stack, stack_program(MadeUpDigests()), changed))


@cache
def recorded(stack: str) -> Recording:
    """A stack as it is configured."""
    return record_with(stack)


@cache
def cloud(stack: str) -> CloudOutputs:
    """What the cluster half of a stack is given; its outputs belong to a recording that is over."""
    seen: list[CloudOutputs] = []
    record(stack, lambda: seen.append(render.cloud(load())), config(stack))
    return seen[0]


def find(recording: Recording, kind: str, name: str, namespace: str | None = None) -> Resource:
    """The one Kubernetes object of that kind and name (or that logical name, where Pulumi names it)."""
    matches = [
        resource
        for resource in recording.resources
        if resource.is_kubernetes
        and resource.inputs["kind"] == kind
        and name in {resource.name, resource.outputs["metadata"]["name"]}
        and namespace in {None, resource.outputs["metadata"].get("namespace")}
    ]
    assert len(matches) == 1, f"{len(matches)} objects {kind} {name} in {recording.stack}"
    return matches[0]


def named(recording: Recording, name: str) -> Resource:
    """The one resource of that logical name, of any kind."""
    matches = [resource for resource in recording.resources if resource.name == name]
    assert len(matches) == 1, f"{len(matches)} resources {name} in {recording.stack}"
    return matches[0]


def manifest(stack: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    """The manifest of the one object of that kind and name."""
    return find(recorded(stack), kind, name, namespace).manifest()


def objects(recording: Recording, *kinds: str) -> list[Resource]:
    """The stack's Kubernetes objects of some kinds."""
    return [item for item in recording.resources if item.is_kubernetes and item.inputs["kind"] in kinds]


def with_resource(recording: Recording, old: Resource, new: Resource) -> Recording:
    """The stack with one resource replaced by another."""
    others = [item for item in recording.resources if item is not old]
    return replace(recording, resources=[*others, new])


def with_inputs(recording: Recording, chosen: Resource, change: Callable[[dict[str, Any]], Any]) -> Recording:
    """The stack with the inputs of one resource changed."""
    inputs = copy.deepcopy(chosen.inputs)
    change(inputs)
    return with_resource(recording, chosen, replace(chosen, inputs=inputs))


def under(recording: Recording, roots: Collection[str]) -> set[str]:
    """The URNs of some resources and of everything inside them, at any depth."""
    parents = {resource.urn: resource.parent for resource in recording.resources}

    def inside(urn: str) -> bool:
        return urn in roots or (urn in parents and inside(parents[urn]))

    return {urn for urn in parents if inside(urn)}


def children(recording: Recording, component: str) -> set[tuple[str, str]]:
    """(kind, logical name) of every Kubernetes object under the component of that logical name, at any depth."""
    root = next(
        resource.urn
        for resource in recording.resources
        if not resource.custom and resource.name == component and not resource.type.startswith("churn:aws:")
    )

    inside = under(recording, {root})
    return {
        (resource.inputs["kind"], resource.name)
        for resource in recording.resources
        if resource.is_kubernetes and resource.urn in inside
    }


def pod_templates(recording: Recording) -> list[tuple[str, dict[str, Any]]]:
    """Every pod template with its owner, ``<Kind>/<name>``."""
    templates = []
    for resource in recording.resources:
        spec = resource.inputs.get("spec", {}) if resource.is_kubernetes else {}
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or spec.get("template")
        # A pool of nodes has a template too, which is none of pods.
        if template and "containers" in template.get("spec", {}):
            templates.append((f"{resource.inputs['kind']}/{resource.outputs['metadata']['name']}", template))
    return templates


def pod_specs(recording: Recording) -> dict[str, dict[str, Any]]:
    """Every pod template's spec by ``<Kind>/<name>``."""
    return {owner: template["spec"] for owner, template in pod_templates(recording)}


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod template, those of its start too."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
