"""A stack as files, offline: what two revisions of the program would make can be compared.

A Kubernetes object is one YAML file, everything else one JSON file. Objects that Pulumi names (ConfigMaps, Secrets,
Jobs) have a name that ends with a digest of their content. Their file is called without it, so that a change stays the
change of one file; inside, and in whatever mentions the object, the digest stays: such a line of a difference is a pod
that rolls or a job that runs again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

from infra.cloud import CloudOutputs
from infra.config import Settings
from infra.config_loader import RECEIVERS, load
from infra.naming import PROJECT
from infra.stack import build_cloud, build_cluster, check_prerequisites
from infra.versions import DIGESTS_KEY, locked_digests
from ops.errors import OpsError
from ops.stack.recording import STAND_IN, Recording, Resource, hidden, record, stack_config, stack_names
from training.files import check_folder
from training.outputs import room

ROOT: Final = Path(__file__).parents[2]
"""Of the checkout, where the stacks' files are."""
MARKER: Final = ".churn-render"
"""In a folder that a render wrote, so that the next one may replace it, and only such a folder."""
CLUSTER_WIDE: Final = "_cluster"
"""Folder of objects without a namespace."""
ALL: Final = "all"
WIDTH: Final = 100_000
"""Of a YAML line, so that none is folded: a fold would move with every word."""
IMAGES: Final = f"{PROJECT}:images"


def stack_program(digests: Mapping[str, str]) -> Callable[[], None]:
    """The program of `infra/__main__.py` with nothing real around it: no kubeconfig, and nothing asked of AWS."""

    def program() -> None:
        settings = load()
        if settings.cluster.kind != "local":
            check_prerequisites(settings, digests)
        for name, value in build_cluster(settings, cloud(settings), recording_provider(), digests).items():
            pulumi.export(name, value)

    return program


def cloud(settings: Settings) -> CloudOutputs:
    """The stack's own cloud, of an account and zones that nobody was asked for."""
    if settings.cluster.kind == "local":
        return build_cloud(settings)
    from infra.aws import account  # noqa: PLC0415 - takes a second, which `dev` does without

    return build_cloud(settings, account.stand_in(settings))


def recording_provider() -> pulumi.ProviderResource:
    """A provider that reaches nothing, whatever cluster the stack has."""
    import pulumi_kubernetes as k8s  # noqa: PLC0415 - slow to import, and `churn --help` does not need it

    return k8s.Provider("cluster", kubeconfig="{}", cluster_identifier="recording")


def recorded(stack: str, config: Mapping[str, Any], digests: Mapping[str, str]) -> Recording:
    """A stack with its configuration; images without a locked digest are shown by their tag, secrets are stand-ins."""
    images = {**config[IMAGES], "require_digests": False}
    return record(stack, stack_program(digests), {**without_secrets(config), IMAGES: images})


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with a stand-in for each encrypted value, and for each of the receivers', encrypted or not.

    The stand-in of an encrypted value changes with it, so that the pods that mount it are seen to roll.
    """
    receivers = f"{PROJECT}:{RECEIVERS}"
    return {key: _stand_in(value, secret=key == receivers) for key, value in config.items()}


def _stand_in(value: Any, *, secret: bool) -> Any:
    if isinstance(value, dict) and set(value) == {"secure"}:
        return f"{STAND_IN}-{hashlib.sha256(str(value['secure']).encode()).hexdigest()[:8]}"
    if isinstance(value, dict):
        return {key: _stand_in(item, secret=secret) for key, item in value.items()}
    return f"{STAND_IN}-unencrypted" if secret and value else value


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One stack: text by path, and what its reader has to know besides."""

    stack: str
    files: Mapping[str, str]
    objects: int
    notes: Sequence[str]


def render(stack: str, root: Path) -> list[Rendered]:
    """A stack, or `all`, as the checkout at ``root`` has it.

    Raises:
        OpsError: there is no such stack.
        ConfigError: its configuration cannot work.
    """
    digests = locked_digests()
    return [_rendered(name, root, digests) for name in (stack_names(root) if stack == ALL else [stack])]


def _rendered(stack: str, root: Path, digests: Mapping[str, str]) -> Rendered:
    config = stack_config(stack, root)
    recording = recorded(stack, config, digests)
    notes = []
    if config[f"{PROJECT}:cluster"]["kind"] != "local":
        notes.append(f"{stack}: shown for an account that does not exist; AWS was not asked for anything")
    missing = without_digest(recording.manifests()) if config[IMAGES]["require_digests"] else []
    if missing:
        notes.append(
            f"{stack}: {DIGESTS_KEY} is true, but {len(missing)} images have no locked digest ({', '.join(missing)}); "
            "shown by tag here, refused by `pulumi up`: run `churn images lock --own` where the registries answer"
        )
    found = files(recording)
    return Rendered(stack=stack, files=found, objects=len(recording.manifests()), notes=notes)


def without_digest(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Images of the objects' containers that are named by tag alone."""

    def images(value: Any) -> set[str]:
        if isinstance(value, Mapping):
            containers = [*(value.get("containers") or []), *(value.get("initContainers") or [])]
            own = {c["image"] for c in containers if isinstance(c, Mapping) and isinstance(c.get("image"), str)}
            return own.union(*(images(item) for item in value.values()))
        return set().union(*(images(item) for item in value)) if isinstance(value, list) else set()

    return sorted(image for image in images(list(manifests)) if "@sha256:" not in image)


def files(recording: Recording) -> dict[str, str]:
    """Text by path; no value that is a secret is in any of them."""
    found: dict[str, str] = {}
    for resource in recording.resources:
        path, text = _kubernetes(resource) if resource.is_kubernetes else _other(resource)
        if path in found:
            raise OpsError(f"two resources of {recording.stack} would be the file {path}: give one another name")
        found[path] = text
    found["outputs.json"] = _json(hidden(recording.outputs, recording.secret_outputs))
    return found


def _kubernetes(resource: Resource) -> tuple[str, str]:
    manifest = resource.manifest(masked=True)
    metadata = manifest["metadata"]
    name = metadata["name"] if "name" in resource.inputs.get("metadata", {}) else resource.name
    path = f"kubernetes/{metadata.get('namespace', CLUSTER_WIDE)}/{_file(manifest['kind'], name)}.yaml"
    said = {
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
        "ignoreChanges": sorted(resource.ignore_changes),
    }
    comments = [f"# pulumi {option}: {json.dumps(value)}\n" for option, value in said.items() if value]
    return path, "".join([*comments, yaml.dump(manifest, Dumper=_Dumper, width=WIDTH, allow_unicode=True)])


def _other(resource: Resource) -> tuple[str, str]:
    package, kind = resource.type.split(":")[0], resource.type.split(":")[-1]
    text = _json(
        {
            "type": resource.type,
            "name": resource.name,
            "parent": resource.parent,
            "provider": resource.provider,
            "protect": resource.protect,
            "retainOnDelete": resource.retain_on_delete,
            "ignoreChanges": sorted(resource.ignore_changes),
            "dependsOn": sorted(resource.depends_on),
            "inputs": hidden(resource.inputs, resource.secret_inputs),
        }
    )
    # Components of ours are told apart by their module too: there is a network of AWS and one of the cluster.
    parts = [kind] if resource.custom else resource.type.split(":")[1:]
    return f"resources/{_file(package)}/{_file(*parts, resource.name)}.json", text


def _file(*parts: str) -> str:
    """A file name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(parts))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a difference shows their lines; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def check_target(out: Path) -> None:
    """A render may write to a folder: a new or empty one, or one that an earlier render wrote.

    Raises:
        OpsError: ``out`` holds something else.
        PathError: it cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise OpsError(f"{out} is a file: name a folder")
    check_folder(out)
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise OpsError(f"{out} holds files that no render wrote: name an empty or a new folder")


def write(out: Path, stacks: Sequence[Rendered]) -> None:
    """Put each stack into its folder under ``out``, in place of what an earlier render left there.

    Raises:
        OpsError: ``out`` holds something else.
        PathError: it cannot be written to, or the disk is full.
    """
    check_target(out)
    with room(str(out)):
        out.mkdir(parents=True, exist_ok=True)
        (out / MARKER).write_text("Written by `churn render`, which may replace everything here.\n", encoding="utf-8")
        for rendered in stacks:
            folder = out / rendered.stack
            if folder.exists():
                shutil.rmtree(folder)
            for path, text in rendered.files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
