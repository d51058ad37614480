"""A desk with the tools that `churn cluster` calls, all stand-ins, and a checkout of its own to work on."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from support.paths import ROOT
from support.recording_cache import cached
from support.scripts import write_program
from support.shims import state
from typer.testing import CliRunner

from ops.cli import main as cli
from ops.local.home import Home
from ops.stack import checkout, doctor, render
from ops.stack.recording import Recording
from ops.stack.stack_file import set_values

TOOLS: Final = {
    "kind": "kind",
    "kubectl": "kubectl",
    "pulumi": "pulumi",
    "docker": "builder",
    "podman": "builder",
    "buildah": "builder",
}
"""Programs, and the stand-in that plays each."""
PACKAGES: Final = str(Path(yaml.__file__).parents[1])
FILES: Final = ("Dockerfile", ".dockerignore", "kind.yaml")
"""What the checkout has besides the stacks' configurations."""


def _recorded_once(stack: str, config: Mapping[str, Any], digests: Mapping[str, str]) -> Recording:
    """What `churn cluster up` records each time to compare the cluster with what the stack asks for."""
    return cached(stack, {"config": config, "digests": digests}, lambda: render.recorded(stack, config, digests))


class Desk:
    """Tools on PATH, a kubeconfig, a home, and the files that a stack and its images are made from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *tools: str) -> None:
        self.root, self.bin, self._shims = folder / "checkout", folder / "bin", folder / "shims"
        for new in (self.root, self.bin, self._shims):
            new.mkdir()
        self._monkeypatch = monkeypatch
        for tool in tools:
            self.install(tool)
        self.set("PATH", f"{self.bin}:/usr/bin:/bin")
        self.set("CHURN_HOME", str(folder / "home"))
        self.set("KUBECONFIG", str(folder / "kubeconfig"))
        self.set(state.FOLDER, str(self._shims))
        for name in (
            "CHURN_BUILD", "CHURN_LOAD", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE",
            "PULUMI_BACKEND_URL",
        ):  # fmt: skip
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(checkout, "ROOT", self.root)
        monkeypatch.setattr(doctor, "recorded", _recorded_once)
        for file in (*ROOT.glob("Pulumi*.yaml"), *(ROOT / name for name in FILES)):
            shutil.copy(file, self.root)
        # The developer's own stack may be deployed, which writes into its file.
        set_values(self.root / "Pulumi.dev.yaml", {("churn:cluster", "context"): "", ("churn:images", "tag"): "0.1.0"})
        for package in ("app", "ops", "training"):
            (self.root / package).mkdir()
            (self.root / package / "code.py").write_text(f"# {package}\n")
        shutil.copytree(ROOT / "requirements", self.root / "requirements", ignore=shutil.ignore_patterns("*.txt"))

    def install(self, tool: str) -> None:
        """Put a stand-in on PATH."""
        text = (
            f"import sys\n\nsys.path += [{str(ROOT / 'tests')!r}, {PACKAGES!r}]\n"
            f"from support.shims import {TOOLS[tool]}\n\n{TOOLS[tool]}.main(sys.argv[1:])\n"
        )
        # Without `site`, which takes longer than all that the stand-in does.
        write_program(self.bin / tool, text, "-IS")

    @contextmanager
    def failing(self, tool: str, command: str) -> Iterator[None]:
        """Let a command of a tool fail; the tool does all others as before."""
        program = self.bin / tool
        works = program.read_text()
        program.write_text(f'#!/bin/sh\n[ "$1" = {shlex.quote(command)} ] && exit 1\n{works}')
        try:
            yield
        finally:
            program.write_text(works)

    def set(self, name: str, value: str) -> None:
        """Set a variable of the environment."""
        self._monkeypatch.setenv(name, value)

    @property
    def home(self) -> Home:
        """The project's folder."""
        return Home.from_environment()

    @property
    def calls(self) -> list[str]:
        """The tools' command lines so far."""
        path = self._shims / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def called(self, *beginnings: str) -> list[str]:
        """The command lines that begin so."""
        return [line for line in self.calls if line.startswith(beginnings)]

    def settings(self, section: str) -> dict[str, Any]:
        """A section of the stack's configuration, as its file has it now."""
        section_now: dict[str, Any] = checkout.stack_config("dev", self.root)[section]
        return section_now

    def clusters(self) -> dict[str, Any]:
        """All clusters, by name."""
        with state.stored("clusters") as clusters:
            return dict(clusters)

    def add_cluster(self, name: str, server: str, context: str, *, objects: object = None) -> None:
        """Add a cluster that kind did not make, and that runs docker's images; its context becomes the current one."""
        with state.stored("clusters") as clusters:
            clusters[name] = {
                "tool": "", "server": server, "uid": f"uid-of-{name}", "running": True, "images": [], "ports": [],
                "apis": [], "objects": objects or {}, "shares": True,
            }  # fmt: skip
        state.add_context(context, server, current=True)

    def change_cluster(self, name: str, **values: Any) -> None:
        """Change what is known of a cluster."""
        with state.stored("clusters") as clusters:
            clusters[name].update(values)

    def use_context(self, name: str) -> None:
        """Change kubectl's current context."""
        state.write_kubeconfig({**state.kubeconfig(), "current-context": name})

    @property
    def current_context(self) -> str:
        """kubectl's current context."""
        return str(state.kubeconfig()["current-context"])

    def churn(self, *words: str) -> str:
        """Run `churn`, which must succeed; returns what it prints."""
        result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def run(self, *words: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
        """Run one of the tools by itself; ``stdin`` is its standard input, as JSON."""
        return subprocess.run(words, input=json.dumps(stdin), capture_output=True, text=True, check=False)

    def record(self) -> dict[str, Any]:
        """What the home knows of the cluster."""
        content: dict[str, Any] = json.loads((self.home.root / "cluster.json").read_text())
        return content
