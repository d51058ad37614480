"""A test's Pulumi project: the program, its settings, its state, and stand-in providers that outlive the engine."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Self

import yaml
from pulumi import automation as auto
from support.engine.cluster import Cluster, MemoryCluster
from support.engine.kubernetes import Kubernetes
from support.engine.operations import Operation, Outcome, Request, perform
from support.engine.provider import Journal
from support.engine.service import served
from support.engine.values import Random, Tls
from support.paths import ROOT
from support.servers import TOOL_FOLDERS
from typing_extensions import TypeVar

from ops.stack.stack_file import set_values

C = TypeVar("C", bound=Cluster, default=MemoryCluster)
PASSPHRASE = "the tests' own"  # noqa: S105 -- for states that exist as long as a test
PROGRAM = ["infra", "dashboards", "contracts"]
# Imported once, in the process from which those of the operations are forked.
PRELOADED = [
    "pulumi.automation",
    "pulumi_eks",
    "pulumi_random",
    "pulumi_tls",
    *(
        f"pulumi_kubernetes.{group}.v1"
        for group in ("apps", "batch", "core", "networking", "policy", "rbac", "storage")
    ),
    "pulumi_kubernetes.admissionregistration.v1",
    "pulumi_kubernetes.autoscaling.v2",
    *(f"pulumi_aws.{service}" for service in ("acm", "budgets", "cloudwatch", "ec2", "ecr", "eks", "iam", "kms")),
    *(f"pulumi_aws.{service}" for service in ("cfg", "cloudtrail", "guardduty")),
    *(f"pulumi_aws.{service}" for service in ("lambda_", "rds", "route53", "s3", "secretsmanager", "vpc", "wafv2")),
    "pulumi_aws.codebuild",
]
"""What the program imports, loaded once for all operations of a test process: several seconds of each otherwise."""


def without_key(text: str) -> str:
    """A stack's file without the KMS key of its state, which a passphrase replaces; `test_state_key.py` has one."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("secretsprovider:"))


class Project(Generic[C]):
    """One stack of the real program; cluster and journal are in the test's process.

    The program and its settings are copies, so that a test may edit them as a person would.
    """

    def __init__(self, stack: str, *, command: auto.PulumiCommand, folder: Path, cluster: C) -> None:
        self.stack = stack
        self.folder = folder / "project"
        self.journal = Journal()
        self.cluster = cluster
        self.random = Random(self.journal)
        self.tls = Tls(self.journal)
        self.kubernetes = Kubernetes(self.journal, self.cluster)
        self.environment: dict[str, str] = {}
        self._command = command
        self._home = folder / "home"
        self._log = folder / "printed"
        self._state = folder / "state"
        self._process: BaseProcess | None = None
        for new in (self.folder, self._home, self._state):
            new.mkdir(parents=True)
        for file in ROOT.glob("Pulumi*.yaml"):
            (self.folder / file.name).write_text(without_key(file.read_text()))
        # The developer's own stack may be deployed, which writes its cluster into its file.
        set_values(self.settings, {("churn:cluster", "context"): ""})
        for package in PROGRAM:
            shutil.copytree(ROOT / package, self.folder / package)

    @contextmanager
    def open(self, kubeconfig: Path | None = None) -> Iterator[Self]:
        """Serve the stand-in providers; the default kubeconfig leads to no cluster."""
        if kubeconfig is None:
            kubeconfig = self._home / "kubeconfig"
            kubeconfig.write_text(yaml.safe_dump(KUBECONFIG))
        with served(self.kubernetes, self.random, self.tls) as providers:
            self.environment = {
                "PATH": TOOL_FOLDERS,
                "HOME": str(self._home),
                "KUBECONFIG": str(kubeconfig),
                "PULUMI_HOME": str(self._home / ".pulumi"),
                # Without the backend's metadata files, which a crash can leave half written.
                "PULUMI_BACKEND_URL": f"{self._state.as_uri()}?metadata=skip",
                "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
                "PULUMI_DEBUG_PROVIDERS": providers,
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PULUMI_EXPERIMENTAL": "true",  # needed by the next one
                "PULUMI_SKIP_CHECKPOINTS": "true",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "OMP_NUM_THREADS": "1",
            }
            yield self

    def run(self, operation: Operation, *, checkpoints: bool = False, **options: Any) -> Outcome:
        """Run an operation to its end, or until ``kill``.

        With ``checkpoints`` the state is written at each of about 400 steps, which is the engine's default; without, it
        is written once at the end, since writing takes most of an operation's time.
        """
        request = Request(
            operation=operation,
            stack=self.stack,
            folder=self.folder,
            command=self._command,
            environment=self.environment | ({"PULUMI_SKIP_CHECKPOINTS": "false"} if checkpoints else {}),
            log=self._log,
            options=options,
        )
        printed = self._log.stat().st_size if self._log.exists() else 0
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=perform, args=(request, sender))
        self._process.start()
        sender.close()
        try:
            outcome: Outcome = receiver.recv()
        except EOFError:
            outcome = Outcome(finished=False)
        except BaseException:  # the test is interrupted or takes too long
            self.kill()
            raise
        self._process.join()
        with self._log.open("rb") as log:
            log.seek(printed)
            outcome.printed = log.read().decode()
        return outcome

    def kill(self) -> None:
        """Kill the engine and its program, whose process group belongs to this test."""
        assert self._process is not None
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def cli(self, *arguments: str) -> str:
        """The output of an engine command that runs no program, and must succeed."""
        command = [self._command.command, *arguments, "--stack", self.stack, "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def settings(self) -> Path:
        """The stack's configuration file."""
        return self.folder / f"Pulumi.{self.stack}.yaml"

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit the stack's configuration file, as a person would."""
        settings = yaml.safe_load(self.settings.read_text())
        change(settings["config"])
        self.settings.write_text(yaml.safe_dump(settings))

    def set_webhook(self, address: str) -> None:
        """Set the one secret that a person sets by hand on a local stack."""
        self.cli("config", "set", "--secret", "--path", "churn:receivers.slack_url", address)

    @property
    def printed(self) -> str:
        """The output of all operations so far."""
        return self._log.read_text()

    @property
    def state_files(self) -> list[Path]:
        """All files of the backend: the state, its backups, the history."""
        return [path for path in sorted(self._state.rglob("*")) if path.is_file()]

    def state(self) -> dict[str, Any]:
        """The deployment in the state file, with encrypted secrets."""
        exported = json.loads(self.cli("stack", "export"))
        assert isinstance(exported, dict)
        return dict(exported["deployment"])


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A project whose stack is up, and the outcomes that led there."""

    project: Project
    webhooks: list[str]
    """Secrets that a person set, the current one last."""
    preview: Outcome
    calls_of_preview: int
    first_up: Outcome


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "stand-in", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "nobody", "user": {}}],
    "contexts": [{"name": "kind-stand-in", "context": {"cluster": "stand-in", "user": "nobody"}}],
    "current-context": "kind-stand-in",
}
