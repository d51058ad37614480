"""What each public image needs from its pod, as the table beside the stand-ins lists it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from support.paths import ROOT

from infra.versions import PUBLIC

FOLDER: Final = ROOT / "tests" / "cluster" / "live" / "images"
_HEAD: Final = "| Image | User | Capabilities | Starts |"


@dataclass(frozen=True, kw_only=True)
class Traits:
    """One row: user and group of the image, file capabilities of its program, and that program's path."""

    user: str
    capabilities: tuple[str, ...]
    program: str


@cache
def table() -> Mapping[str, Traits]:
    """Return the rows by the image's name in `infra/versions.py`."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(_HEAD)) + 2
    rows = {}
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        image, user, capabilities, program, *_ = (cell.strip().strip("`") for cell in line.strip("|").split("|"))
        needed = () if capabilities == "none" else tuple(capabilities.split(", "))
        rows[image] = Traits(user=user, capabilities=needed, program=program)
    return rows


def needed_capabilities(container: Mapping[str, Any]) -> list[str]:
    """Return the capabilities that a container's program needs to start.

    A container with a command of its own does not start the image's program.
    """
    if "command" in container:
        return []
    repository = container["image"].partition("@")[0].rpartition(":")[0]
    # A mirror keeps the image's whole name.
    names = [name for name, image in PUBLIC.items() if repository.endswith(image.rpartition(":")[0])]
    return [capability for name in names for capability in table()[name].capabilities]
