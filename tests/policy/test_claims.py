"""A claim that was deleted comes back with its size, whoever creates it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.recorder import STACKS, find, objects, recorded, with_resource

from infra.parts.claim import TEMPLATES
from ops.stack.recording import Recording


def smaller_after_deletion(recording: Recording) -> list[str]:
    """Claims that a StatefulSet would create with another size than the stack, and servers that a growth would replace.

    The controller creates a missing claim from the StatefulSet's template (Kubernetes, pkg/controller/statefulset,
    `createMissingPersistentVolumeClaims`), usually before the stack can.
    """
    claims = {
        claim.inputs["metadata"]["name"]: claim.inputs["spec"] for claim in objects(recording, "PersistentVolumeClaim")
    }
    violations = []
    for server in objects(recording, "StatefulSet"):
        name, spec = server.inputs["metadata"]["name"], server.inputs["spec"]
        templates: list[dict[str, Any]] = spec.get("volumeClaimTemplates", [])
        if templates and not set(TEMPLATES) <= set(server.ignore_changes):
            violations.append(f"{name}: a larger volume would replace it")
        own = [
            (f"{item['metadata']['name']}-{name}-{i}", item["spec"])
            for item in templates
            for i in range(spec["replicas"])
        ]
        violations += [f"{claim} would come back as {size}" for claim, size in own if claims.get(claim) != size]
    return violations


@pytest.mark.parametrize("stack", STACKS)
def test_every_claim_comes_back_with_its_size(stack: str) -> None:
    assert len(objects(recorded(stack), "StatefulSet")) >= 2
    assert smaller_after_deletion(recorded(stack)) == []


def test_a_smaller_template_and_one_that_is_not_ignored_are_noticed() -> None:
    server = find(recorded("dev"), "StatefulSet", "postgres")
    (template,) = server.inputs["spec"]["volumeClaimTemplates"]
    small = {**template, "spec": {**template["spec"], "resources": {"requests": {"storage": "1Gi"}}}}
    inputs = {**server.inputs, "spec": {**server.inputs["spec"], "volumeClaimTemplates": [small]}}
    bad = with_resource(recorded("dev"), server, replace(server, inputs=inputs, ignore_changes=()))
    first, second = smaller_after_deletion(bad)
    assert first == "postgres: a larger volume would replace it"
    assert second.startswith("data-postgres-0 would come back as ")
