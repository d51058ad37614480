"""Lists what a killed `pulumi up` may have left behind: ``pulumi stack export | python -m ops.stack.unfinished``.

Pulumi notes each operation in the state before it starts it. Only an object whose *creation* has an unknown outcome may
exist without the state knowing it; what is noted as updating or deleting is known, and may serve. So this prints a
command to delete each of the former, and a comment for all others. It changes nothing itself.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ops.errors import OpsError, exit_code

CREATING: Final = "creating"
"""The only type of operation after which `pulumi refresh` does not know the outcome (pulumi PR 10394)."""
ONLY_IN_THE_STATE: Final = ("pulumi:", "random:", "tls:", "churn:")
"""Types whose resources exist nowhere but in the state."""


def operations(exported: str) -> list[Mapping[str, Any]]:
    """Return the unfinished operations of an exported stack.

    Raises:
        OpsError: the text is no exported stack.
    """
    try:
        deployment = json.loads(exported)["deployment"]
        pending: list[Mapping[str, Any]] = deployment.get("pending_operations") or []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OpsError(
            "standard input is no exported stack: run 'pulumi stack export | python -m ops.stack.unfinished'"
        ) from error
    return pending


def steps(pending: Sequence[Mapping[str, Any]], context: str = "") -> Iterator[str]:
    """Yield a line for each operation: a command that deletes the object, or a comment about what needs none."""
    for operation in pending:
        resource, what = operation["resource"], operation["type"]
        kind = resource["type"]
        if what != CREATING:
            yield f"# {what}, leave it alone, the state knows it: {resource['urn']}"
        elif kind.startswith("kubernetes:"):
            yield shlex.join(_delete(resource["inputs"], context))
        elif kind.startswith(ONLY_IN_THE_STATE):
            yield f"# creating, exists nowhere but in the state: {resource['urn']}"
        else:
            yield f"# creating, look it up at its provider and delete it there if it exists: {resource['urn']}"


def _delete(manifest: Mapping[str, Any], context: str) -> list[str]:
    group = manifest["apiVersion"].rpartition("/")[0]
    metadata = manifest["metadata"]
    words = ["kubectl", *(["--context", context] if context else []), "delete"]
    words += [".".join(filter(None, (manifest["kind"].lower(), group))), metadata["name"]]
    if "namespace" in metadata:
        words += ["--namespace", metadata["namespace"]]
    return [*words, "--ignore-not-found"]


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack.unfinished", description=__doc__.partition("\n")[0])
    parser.add_argument("--context", default="", help="context of the stack's cluster, if it is not the current one")
    options = parser.parse_args(argv)
    try:
        lines = list(steps(operations(sys.stdin.read()), options.context))
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program that an operator runs
        return exit_code(error)
    print("\n".join(lines or ["# nothing is unfinished"]))  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
