"""Which cluster `dev` is in, so that no command ever acts on another one.

Every stack has the same namespaces, and Pulumi deletes by name. So the context is chosen once, recorded in the stack's
configuration, and never taken from kubectl again. The state can outlive its cluster, and a new cluster can have the old
one's name: the uid of its namespace kube-system tells them apart.
"""

# ruff: noqa: S607 - kind as the user has it on PATH
from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from infra.kubeconfig import Kubeconfig
from infra.naming import PROJECT
from ops.errors import OpsError
from ops.local.home import Home
from ops.stack import kubectl
from ops.stack.checkout import stack_config
from ops.stack.stack_file import Key, set_values
from training.outputs import replaced

STACK: Final = "dev"
KIND: Final = "churn"
"""Name of the kind cluster that is created if there is no other."""
KIND_CONTEXT: Final = f"kind-{KIND}"
CONTEXT: Final[Key] = (f"{PROJECT}:cluster", "context")
FORGET: Final = "`churn cluster down --forget`"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The cluster of the state, by context and uid; and the uid of the kind cluster that `up` created, if it did."""

    context: str = ""
    uid: str = ""
    created: str = ""

    @classmethod
    def read(cls, home: Home) -> Record:
        """Read the file beside the state; a missing one says nothing.

        Raises:
            OpsError: it cannot be read.
        """
        try:
            return cls(**json.loads(_file(home).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError):
            raise OpsError(
                f"{_file(home)} is damaged: remove it, and look with `pulumi stack -s {STACK}` at what was deployed"
            ) from None

    def write(self, root: Path, home: Home) -> None:
        """Write the file, and the context into the stack's configuration."""
        with replaced(_file(home)) as temporary:
            temporary.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        set_values(root / f"Pulumi.{STACK}.yaml", {CONTEXT: self.context})


def _file(home: Home) -> Path:
    return home.root / "cluster.json"


def deployed_to(root: Path, record: Record) -> str:
    """Return the context that `dev` is bound to; empty if it is not deployed.

    The configuration may have been put back to what the repository has: then the record beside the state says it.

    Raises:
        OpsError: the two name different contexts.
    """
    section, key = CONTEXT
    configured: str = stack_config(STACK, root)[section][key]
    if configured and record.context and configured != record.context:
        raise OpsError(
            f"{STACK} is in the cluster of context {record.context!r}, but Pulumi.{STACK}.yaml now names "
            f"{configured!r}: put the former back and run `churn cluster down`, or if that cluster is gone run {FORGET}"
        )
    return configured or record.context


def choose(root: Path, record: Record, named: str) -> str:
    """Return the context to act on: the one that `dev` is bound to, else the named one, else kubectl's current one.

    Empty if there is none of them.

    Raises:
        OpsError: `dev` is in another cluster than the named one or kubectl's; or the cluster may not be local and
            is not named.
    """
    bound = deployed_to(root, record)
    config = Kubeconfig.read()
    if bound and named not in {"", bound}:
        raise OpsError(
            f"{STACK} is in the cluster of context {bound!r}, not {named!r}: remove it there first with `churn cluster "
            f"down --context {bound}`, or if that cluster is gone run {FORGET}"
        )
    if bound and not named and config.current not in {"", bound}:
        raise OpsError(
            f"{STACK} is in the cluster of context {bound!r}, but kubectl's context is {config.current!r}: run "
            f"`kubectl config use-context {bound}`, or name the one you mean with --context {bound}"
        )
    chosen = named or bound or config.current
    context = config.contexts.get(chosen)
    if context is not None and not context.is_local and not named:
        raise OpsError(
            f"context {chosen!r} ({context.server or 'without a server'}) is not known to be a cluster on this "
            f"machine: if you mean it, name it with --context {chosen}; for a kind cluster use --context {KIND_CONTEXT}"
        )
    return chosen


def is_local(context: str) -> bool:
    """Whether a context is known to be a cluster on this machine."""
    known = Kubeconfig.read().contexts.get(context)
    return known is not None and known.is_local


def answers(context: str) -> bool:
    """Whether the cluster of a context answers.

    Raises:
        OpsError: kubectl is not installed.
    """
    kubectl.require()
    if context not in Kubeconfig.read().contexts:
        return False
    return _ask(context, "get", "--raw", "/readyz", "--request-timeout=10s") == "ok"


def uid(context: str) -> str:
    """Return what identifies the cluster of a context for its whole life.

    Raises:
        OpsError: it does not say.
    """
    answer = _ask(context, "get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}")
    if not answer:
        raise OpsError(f"the cluster of context {context!r} does not show its namespace kube-system: check your rights")
    return answer


def _ask(context: str, *words: str) -> str | None:
    """Return what kubectl prints; None if it fails."""
    try:
        return kubectl.call(*words, context=context).strip()
    except kubectl.CallError:
        return None


def kind_clusters() -> list[str] | None:
    """Return the names of all kind clusters, stopped ones included; None where kind cannot say."""
    if shutil.which("kind") is None:
        return None
    done = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else None
