"""Brings the `dev` stack up on a local cluster, and removes it: ``churn cluster up`` and ``churn cluster down``.

Each step is a command that a person could type, printed before it runs: create a cluster if there is none, build the
images, load them, `pulumi up`, wait for the pods. The state of the stack, its passphrase, and which cluster it is in
stay in the project's home folder.
"""

# ruff: noqa: S603, S607 - the commands are those that the user asked for, found on PATH
from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from infra.kubeconfig import Kubeconfig
from ops.errors import OpsError
from ops.local.home import Home
from ops.stack import content, doctor, image_build, image_load, rollouts, target
from ops.stack.image_build import IMAGES
from ops.stack.stack_file import Key, set_values
from ops.stack.target import FORGET, KIND, KIND_CONTEXT, STACK, Record

KIND_FILE: Final = "kind.yaml"
TAG: Final[Key] = (IMAGES, "tag")
PASSPHRASE: Final = "pulumi-passphrase"  # noqa: S105 - the file's name
EDGE: Final = ("churn-ingress", "ingress")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose; an empty value is determined automatically."""

    tool: str = ""
    load: str = ""
    build: bool = True
    context: str = ""


def require_cluster(root: Path, record: Record, named: str, say: Callable[[str], None]) -> Record:
    """Return the cluster to deploy to: the one that `dev` is in, the named one, the current one, or a new one of kind.

    Raises:
        OpsError: `dev` is elsewhere, the cluster may not be local and is not named, or no cluster answers and kind
            cannot create one.
    """
    chosen = target.choose(root, record, named)
    bound = named or target.deployed_to(root, record)
    for context in dict.fromkeys([chosen, *([] if bound else [KIND_CONTEXT])]):
        if target.answers(context) and (named or target.is_local(context)):
            say(f"Using the cluster of context {context}")
            return replace(record, context=context, uid=target.uid(context))
    if bound not in {"", KIND_CONTEXT}:
        raise OpsError(
            f"the cluster of context {bound!r} does not answer: start it, or name another; if it is gone, {FORGET} "
            f"removes what {STACK} had in it from the state"
        )
    clusters = target.kind_clusters()
    if clusters is None:
        raise OpsError(
            "no cluster answers at kubectl's current context, and kind cannot create one: start your cluster, or "
            "install kind (https://kind.sigs.k8s.io) and start docker"
        )
    if KIND in clusters:
        raise OpsError(
            f"kind's cluster {KIND!r} is there but does not answer: start its container {KIND}-control-plane, or "
            f"delete it with `kind delete cluster --name {KIND}`"
        )
    words = ["kind", "create", "cluster", "--name", KIND, "--config", str(root / KIND_FILE), "--wait", "120s"]
    try:
        image_build.run(words, say)
    except OpsError as error:
        raise OpsError(
            f"{error}. If it is port 443 that is taken or not allowed here, change hostPort in {KIND_FILE}"
        ) from None
    uid = target.uid(KIND_CONTEXT)
    return Record(context=KIND_CONTEXT, uid=uid, created=uid)


def pulumi_environment(home: Home) -> dict[str, str]:
    """Return Pulumi's environment with the place of its state and a passphrase, created once; set variables win."""
    state = home.root / "pulumi"
    state.mkdir(parents=True, exist_ok=True)
    environment = {"PULUMI_BACKEND_URL": f"{state.resolve().as_uri()}?metadata=skip"}
    if "PULUMI_CONFIG_PASSPHRASE_FILE" not in os.environ:
        path = home.root / PASSPHRASE
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(path.resolve())
    if "PULUMI_CONFIG_PASSPHRASE" in os.environ:
        environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    return environment | dict(os.environ)


def _pulumi(root: Path, home: Home, say: Callable[[str], None], *words: str) -> None:
    if shutil.which("pulumi") is None:
        raise OpsError("pulumi is not installed: see https://www.pulumi.com/docs/install")
    say(f"$ pulumi {' '.join(words)}")
    done = subprocess.run(["pulumi", *words], cwd=root, env=pulumi_environment(home), check=False)
    if done.returncode:
        raise OpsError(f"pulumi {words[0]} failed with exit code {done.returncode}")


def outputs(root: Path, home: Home) -> dict[str, Any]:
    """Return what the stack exports, with secrets in plain text."""
    words = ["pulumi", "stack", "output", "--stack", STACK, "--show-secrets", "--json"]
    done = subprocess.run(words, cwd=root, env=pulumi_environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"pulumi stack output failed: {done.stderr.strip()}")
    exported: dict[str, Any] = json.loads(done.stdout)
    return exported


def up(root: Path, home: Home, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Bring everything up; returns what the stack exports.

    Raises:
        OpsError: a step failed. Earlier steps are not undone, and the command may be run again.
    """
    before = Record.read(home)
    now = require_cluster(root, before, options.context, say)
    if now.created != before.created:
        # At once, so that `down` removes the cluster even if nothing gets into it.
        replace(before, created=now.created).write(root, home)
    doctor.prepare(now.context, STACK, root, say)
    if options.build:
        _bring_images(root, now.context, options, say)
    _pulumi(root, home, say, "stack", "select", "--create", STACK)
    if before.uid not in {"", now.uid}:
        say(f"This is another cluster than the one that {STACK} was in: taking what is gone out of the state")
        _pulumi(root, home, say, "refresh", "--stack", STACK, "--yes", "--clear-pending-creates")
    now.write(root, home)
    _pulumi(root, home, say, "up", "--stack", STACK, "--yes")
    rollouts.wait(say, now.context)
    exported = outputs(root, home)
    certificate(home).write_text(exported["certificate"], encoding="utf-8")
    return exported


def _bring_images(root: Path, context: str, options: Options, say: Callable[[str], None]) -> None:
    """Build the images under a tag of their content, load them, and have the stack run that tag."""
    tag = content.tag(root)
    builds = image_build.builds(STACK, root, tag=tag)
    tool = image_build.find_tool(options.tool)
    loader = image_load.loader(context, options.load, tool)
    for build in builds:
        image_build.run(image_build.command(tool, build, root), say)
    image_load.load(builds, loader, say)
    set_values(root / f"Pulumi.{STACK}.yaml", {TAG: tag})


def certificate(home: Home) -> Path:
    """Return the file with the certificate to trust."""
    return home.root / "certificate.pem"


def down(root: Path, home: Home, named: str, say: Callable[[str], None], *, keep_cluster: bool) -> None:
    """Remove the stack, and the kind cluster that `up` created.

    Raises:
        OpsError: `dev` is not in this cluster, its cluster is gone, or a step failed.
    """
    record = Record.read(home)
    chosen = target.choose(root, record, named)
    bound = target.deployed_to(root, record)
    if not bound and not named and record.created:
        # An `up` that failed before anything was deployed, or a `down` that kept the cluster.
        _delete_cluster(root, home, record, say, keep=keep_cluster)
        return
    if not bound and (not named or named != Kubeconfig.read().current):
        raise OpsError(
            f"Pulumi.{STACK}.yaml names no cluster, so `churn cluster up` deployed nothing; for what an older version "
            "deployed, make its cluster kubectl's context, and name that with --context"
        )
    kind = target.kind_clusters()
    if chosen.startswith("kind-") and kind is not None and chosen.removeprefix("kind-") not in kind:
        say(f"The cluster of context {chosen} is gone, and with it everything of {STACK}: removing the state")
        _forget(root, home, say)
        return
    if not target.answers(chosen) or (record.uid and target.uid(chosen) != record.uid):
        raise OpsError(
            f"the cluster that {STACK} was in (context {chosen!r}) does not answer, or is another one now: start it, "
            f"or if it is gone, {FORGET} removes the state alone"
        )
    _pulumi(root, home, say, "destroy", "--stack", STACK, "--yes")
    _delete_cluster(root, home, record, say, keep=keep_cluster)


def _delete_cluster(root: Path, home: Home, record: Record, say: Callable[[str], None], *, keep: bool) -> None:
    """Note that nothing is deployed, and delete the kind cluster unless it is another one than `up` created."""
    ours = record.created != "" and target.answers(KIND_CONTEXT) and target.uid(KIND_CONTEXT) == record.created
    Record(created=record.created if ours and keep else "").write(root, home)
    if ours and not keep:
        image_build.run(["kind", "delete", "cluster", "--name", KIND], say)


def forget(root: Path, home: Home, say: Callable[[str], None]) -> None:
    """Remove the state of a stack whose cluster is gone; nothing is deleted in any cluster.

    Raises:
        OpsError: the cluster is there.
    """
    record = Record.read(home)
    # Where the configuration says something else, the record counts: it belongs to the state.
    bound = record.context or target.deployed_to(root, record)
    if bound and target.answers(bound) and record.uid in {"", target.uid(bound)}:
        raise OpsError(
            f"the cluster of context {bound!r} is there, with everything of {STACK}: use `churn cluster down`"
        )
    _forget(root, home, say)


def _forget(root: Path, home: Home, say: Callable[[str], None]) -> None:
    _pulumi(root, home, say, "stack", "rm", "--stack", STACK, "--force", "--preserve-config", "--yes")
    Record().write(root, home)


def instructions(exported: dict[str, Any], trusted: Path) -> list[str]:
    """Explain how to reach the stack and trust its certificate, with commands to paste."""
    namespace, service = EDGE
    host = str(exported["api_url"]).removeprefix("https://")
    return [
        f"Predictions  {exported['api_url']}/v1/predict",
        f"MLflow       {exported['mlflow_url']}   user admin",
        f"Grafana      {exported['grafana_url']}   user admin",
        "",
        "Passwords and the first API key: pulumi stack output --stack dev --show-secrets",
        f"The certificate to trust is {trusted}: import it into your browser, or give it to curl.",
        "A kind cluster of this command answers there. If another gives load balancers no address, forward a port:",
        f"  kubectl --namespace {namespace} port-forward service/{service} 8443:443",
        f"  curl --cacert {trusted} --connect-to {host}:443:127.0.0.1:8443 {exported['api_url']}/docs",
    ]
