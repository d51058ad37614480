"""A resource's URN is its identity, and a rename without an alias deletes the resource: so renames show here first."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the run as a program, which writes the locks

from support.recorder import STACKS, config, recorded

FOLDER = Path(__file__).with_name("identities")
ADVICE = (
    "These resources of stack {stack} are new (+) or gone (-). If one was renamed or moved, give the new one "
    "aliases, or else `pulumi up` deletes and recreates it. Then: python tests/contracts/test_identities.py\n{changes}"
)


def identities(stack: str) -> list[str]:
    """Type path and logical name of every resource, without the stack's name."""
    return sorted("::".join(item.urn.split("::")[2:]) for item in recorded(stack).resources)


def changes(locked: list[str], now: list[str]) -> list[str]:
    """One line for each identity that is only in one of the lists."""
    gone, new = sorted(set(locked) - set(now)), sorted(set(now) - set(locked))
    return [f"- {item}" for item in gone] + [f"+ {item}" for item in new]


@pytest.mark.parametrize("stack", STACKS)
def test_every_identity_is_the_locked_one(stack: str) -> None:
    locked = json.loads((FOLDER / f"{stack}.json").read_text("utf-8"))
    differences = changes(locked, identities(stack))
    assert not differences, ADVICE.format(stack=stack, changes="\n".join(differences))


def test_a_rename_shows_as_one_gone_and_one_new() -> None:
    assert changes(["a::old", "b::same"], ["a::new", "b::same"]) == ["- a::old", "+ a::new"]


@pytest.mark.parametrize("stack", STACKS)
def test_no_identity_contains_a_value_of_the_configuration(stack: str) -> None:
    values = {
        str(config(stack)[f"churn:{section}"][key]) for section, key in (("ingress", "domain"), ("images", "tag"))
    }
    names = [item.name for item in recorded(stack).resources]
    assert [
        name for name in names if stack in re.split(r"[^a-z]", name) or any(value in name for value in values)
    ] == []


@pytest.mark.parametrize("stack", STACKS)
def test_identities_are_unique_and_components_have_our_token(stack: str) -> None:
    resources = recorded(stack).resources
    assert len({item.urn for item in resources}) == len(resources)
    # The component of `pulumi_eks` has its own token.
    tokens = {item.type for item in resources if not item.custom} - {"eks:index:Cluster"}
    assert [
        token for token in sorted(tokens) if not re.fullmatch(r"churn:(aws|local|parts|workloads):[A-Z]\w+", token)
    ] == []


if __name__ == "__main__":
    for written in STACKS:
        path = FOLDER / f"{written}.json"
        path.write_text(json.dumps(identities(written), indent=1) + "\n", encoding="utf-8")
        print(f"wrote {path.name}")  # noqa: T201 - a program's output
