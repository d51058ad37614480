"""Take up a deployment that was killed: ``python -m ops.stack.take_up --stack staging``, where nothing else can run.

A killed run leaves its lock, which refuses every later one, and creations whose outcome the state does not know. If a
thing like that exists and has a name of ours, the next `pulumi up` would fail because it does, so it is taken into the
state. Whatever has a random identity is created again; the tag `churn:stack` finds the first one. What was being
updated or deleted is in the state, and the next `pulumi up` goes on with it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ops.errors import OpsError, TemporaryError, exit_code
from ops.stack.unfinished import CREATING, operations

Words = Sequence[str]
Run = Callable[[Words], tuple[int, str]]
"""Runs a command; returns its exit code and what it printed."""
PROBES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "aws:cloudwatch/logGroup:LogGroup": (("name",), ("logs", "list-tags-log-group", "--log-group-name", "{name}")),
    "aws:eks/addon:Addon": (
        ("clusterName", "addonName"),
        ("eks", "describe-addon", "--cluster-name", "{clusterName}", "--addon-name", "{addonName}"),
    ),
    "aws:eks/cluster:Cluster": (("name",), ("eks", "describe-cluster", "--name", "{name}")),
    "aws:eks/nodeGroup:NodeGroup": (
        ("clusterName", "nodeGroupName"),
        ("eks", "describe-nodegroup", "--cluster-name", "{clusterName}", "--nodegroup-name", "{nodeGroupName}"),
    ),
    "aws:iam/role:Role": (("name",), ("iam", "get-role", "--role-name", "{name}")),
    "aws:kms/alias:Alias": (("name",), ("kms", "describe-key", "--key-id", "{name}")),
    "aws:rds/instance:Instance": (
        ("identifier",),
        ("rds", "describe-db-instances", "--db-instance-identifier", "{identifier}"),
    ),
    "aws:s3/bucket:Bucket": (("bucket",), ("s3api", "head-bucket", "--bucket", "{bucket}")),
}
"""For each kind that has a name of ours: the inputs that make up its identity, and the command that looks for it."""


WAITS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:eks/addon:Addon": ("eks", "wait", "addon-active", *PROBES["aws:eks/addon:Addon"][1][2:]),
    "aws:eks/cluster:Cluster": ("eks", "wait", "cluster-active", *PROBES["aws:eks/cluster:Cluster"][1][2:]),
    "aws:eks/nodeGroup:NodeGroup": ("eks", "wait", "nodegroup-active", *PROBES["aws:eks/nodeGroup:NodeGroup"][1][2:]),
    "aws:rds/instance:Instance": ("rds", "wait", "db-instance-available", *PROBES["aws:rds/instance:Instance"][1][2:]),
}
"""The command that waits for what is still being created: whatever comes next takes it to be ready."""


def run(words: Words) -> tuple[int, str]:
    """Run a command."""
    done = subprocess.run(  # noqa: S603 - programs of this module, with names from the state and no shell
        list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr


def probe(resource: Mapping[str, Any]) -> tuple[str, Words] | None:
    """Return the identity of a resource and the command that looks for it; None if its identity is random."""
    inputs, kind = resource["inputs"], resource["type"]
    if kind.startswith("kubernetes:"):
        metadata, group = inputs["metadata"], inputs["apiVersion"].rpartition("/")[0]
        namespace = metadata.get("namespace", "")
        within = ["--namespace", namespace] if namespace else []
        named = ".".join(filter(None, (inputs["kind"].lower(), group)))
        return "/".join(filter(None, (namespace, metadata["name"]))), [
            "kubectl",
            "get",
            named,
            metadata["name"],
            *within,
        ]
    if kind not in PROBES:
        return None
    parts, words = PROBES[kind]
    if any(not isinstance(inputs.get(part), str) for part in parts):
        return None
    values = {part: inputs[part] for part in parts}
    return ":".join(values.values()), ["aws", *(word.format(**values) for word in words)]


def take_up(stack: str, run_command: Run = run) -> Iterator[str]:
    """Remove the lock and take what exists into the state; yields a line for each thing done.

    Raises:
        TemporaryError: Pulumi failed.
    """
    code, exported = run_command(["pulumi", "stack", "export", "--stack", stack])
    if code != 0 and "no stack named" in exported:
        yield f"{stack} does not exist yet"
        return
    _require(code, exported)
    _require(*run_command(["pulumi", "cancel", "--yes", "--stack", stack]))
    known: list[str] = []
    for operation in operations(exported):
        resource = operation["resource"]
        if operation["type"] != CREATING or (known_by := probe(resource)) is None:
            yield f"{operation['type']}: {resource['urn']}"
            continue
        identity, words = known_by
        exists = run_command(words)[0] == 0
        yield f"{operation['type']}: {resource['urn']}: {'exists' if exists else 'does not exist'} ({identity})"
        if exists:
            known += [resource["urn"], identity]
            wait = WAITS.get(resource["type"], ())
            _require(
                *(run_command(["aws", *(word.format(**resource["inputs"]) for word in wait)]) if wait else (0, ""))
            )
    if known:
        targets = [word for urn in known[::2] for word in ("--target", urn)]
        imports = [word for part in known for word in ("--import-pending-creates", part)]
        _require(*run_command(["pulumi", "refresh", "--yes", "--stack", stack, *targets, *imports]))


def _require(code: int, printed: str) -> None:
    if code != 0:
        raise TemporaryError(printed.strip() or "pulumi failed without a word")


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack.take_up", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", required=True)
    options = parser.parse_args(argv)
    try:
        for line in take_up(options.stack):
            print(line)  # noqa: T201 - a program of a pipeline writes to its log
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - as above
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
