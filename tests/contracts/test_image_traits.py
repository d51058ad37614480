"""Public images get from their pods what their programs need, and the stand-ins need the same."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from support.image_traits import FOLDER, needed_capabilities, table
from support.recorder import STACKS, containers, pod_templates, recorded

from infra.versions import PUBLIC

NEXT_MAJOR: Final = "postgres16"
"""No stack runs it: the stand-in of the stack's own server with the programs of the next version."""
STAND_INS: Final = sorted({path.parent.name for path in FOLDER.glob("*/Dockerfile")} - {NEXT_MAJOR})
SETCAP: Final = re.compile(r"setcap cap_(\w+)=\+e?i?p (\S+)")


def instruction(name: str, keyword: str) -> list[str]:
    """The arguments of an instruction of a stand-in's Dockerfile."""
    lines = (FOLDER / name / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(f"{keyword} ") for line in lines if line.startswith(f"{keyword} ")]


def test_every_public_image_is_in_the_table() -> None:
    assert set(table()) == set(PUBLIC)
    assert set(STAND_INS) <= set(PUBLIC)


def owned_containers(stack: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (owner, container) for owner, template in pod_templates(recorded(stack)) for container in containers(template)
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_a_container_may_have_exactly_the_capabilities_that_its_program_needs_to_start(stack: str) -> None:
    for owner, container in owned_containers(stack):
        added = container["securityContext"]["capabilities"].get("add", [])
        assert added == needed_capabilities(container), f"{owner} {container['name']}"
    needing = [
        (owner, container["name"]) for owner, container in owned_containers(stack) if needed_capabilities(container)
    ]
    assert needing == [("Deployment/ingress", "ingress")]


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_starts_the_same_program_as_the_original(name: str) -> None:
    traits = table()[name]
    if name == "kube-state-metrics":  # the real program's image, with a folder more
        assert not instruction(name, "ENTRYPOINT")
        return
    (entry_point,) = instruction(name, "ENTRYPOINT")
    assert entry_point.startswith(f'["{traits.program}"')
    users = instruction(name, "USER") or ["999:1000"]  # the cache's original has no USER: its entry point steps down
    assert users == [traits.user]


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_has_the_originals_file_capabilities(name: str) -> None:
    text = (FOLDER / name / "Dockerfile").read_text(encoding="utf-8")
    given_to = {program: capability.upper() for capability, program in SETCAP.findall(text)}
    expected = table()[name].capabilities
    assert set(given_to.values()) == set(expected)
    if expected:
        assert table()[name].program in given_to
