"""The checkout whose stacks the commands work on, and the stacks' configuration as their files have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from ops.errors import OpsError

ROOT: Final = Path(__file__).parents[2]
# The same safe loader in C, which is eight times as fast, where PyYAML was built with it.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def stack_files(root: Path) -> list[Path]:
    """Return the configuration file of each stack, sorted."""
    return sorted(root.glob("Pulumi.*.yaml"))


def stack_names(root: Path) -> list[str]:
    """Return the names of the stacks that have a configuration at ``root``."""
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in stack_files(root))


def stack_config(stack: str, root: Path) -> dict[str, Any]:
    """Return a stack's configuration by full key, as the stack's file has it.

    Raises:
        OpsError: there is no such stack.
    """
    names = stack_names(root)
    if stack not in names:
        raise OpsError(f"there is no stack {stack!r}: choose one of {', '.join(names)}")
    text = (root / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.load(text, Loader=_LOADER)["config"]  # noqa: S506 - it is a safe one
    return config
