"""Writes a stack as files, offline, so that what two revisions of the program would create can be compared.

Each Kubernetes object is a YAML file, everything else a JSON file. Objects that Pulumi names (ConfigMaps, Secrets,
Jobs) have names that end with a digest of their content. The file name leaves the digest out, so that a change of
content is a change of one file. Inside the file, and wherever the object is mentioned, the digest stays: where it
differs, a pod rolls or a job runs again.
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
from infra.config_loader import SECRET_KEYS, load
from infra.naming import PROJECT
from infra.stack import build_cloud, build_cluster, check_digests
from infra.versions import DIGESTS_KEY, locked_digests
from ops.errors import OpsError
from ops.stack.checkout import stack_config, stack_names
from ops.stack.recording import STAND_IN, Recording, Resource, hidden, record
from training.files import check_folder
from training.outputs import room

MARKER: Final = ".churn-render"
"""Marks a folder that a render wrote; the next render may replace such a folder, and no other."""
CLUSTER_WIDE: Final = "_cluster"
"""Folder for objects without a namespace."""
ALL: Final = "all"
WIDTH: Final = 100_000
"""Width of a YAML line, so that none is folded: folds would move with every changed word."""
IMAGES: Final = f"{PROJECT}:images"


def stack_program(digests: Mapping[str, str]) -> Callable[[], None]:
    """Return the program of `infra/__main__.py` with nothing real around it: no kubeconfig, registry or AWS account."""

    def program() -> None:
        settings = load()
        if settings.cluster.kind != "local":
            check_digests(settings, digests)
        for name, value in build_cluster(settings, cloud(settings), recording_provider(), digests).items():
            pulumi.export(name, value)

    return program


def cloud(settings: Settings) -> CloudOutputs:
    """Build the stack's cloud in an account and zones that do not exist."""
    if settings.cluster.kind == "local":
        return build_cloud(settings)
    from infra.aws import account  # noqa: PLC0415 - takes a second, which `dev` does without

    return build_cloud(settings, account.stand_in(settings))


def recording_provider() -> pulumi.ProviderResource:
    """Return a Kubernetes provider that connects to nothing, whatever cluster the stack has."""
    import pulumi_kubernetes as k8s  # noqa: PLC0415 - slow to import, and `churn --help` does not need it

    return k8s.Provider("cluster", kubeconfig="{}", cluster_identifier="recording")


def recorded(stack: str, config: Mapping[str, Any], digests: Mapping[str, str]) -> Recording:
    """Record a stack; images without a locked digest are shown by their tag, and secrets are stand-ins."""
    images = {**config[IMAGES], "require_digests": False}
    return record(stack, stack_program(digests), {**without_secrets(config), IMAGES: images})


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Put a stand-in in place of each encrypted value, and of each value of a secret key, encrypted or not.

    The stand-in of an encrypted value changes with the value, so that the rendering shows which pods roll.
    """
    secret_keys = {f"{PROJECT}:{key}" for key in SECRET_KEYS}
    return {key: _stand_in(value, secret=key in secret_keys) for key, value in config.items()}


def _stand_in(value: Any, *, secret: bool) -> Any:
    if isinstance(value, dict) and set(value) == {"secure"}:
        return f"{STAND_IN}-{hashlib.sha256(str(value['secure']).encode()).hexdigest()[:8]}"
    if isinstance(value, dict):
        return {key: _stand_in(item, secret=secret) for key, item in value.items()}
    return f"{STAND_IN}-unencrypted" if secret and value else value


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One stack: the text of each file by its path, and notes for the reader."""

    stack: str
    files: Mapping[str, str]
    objects: int
    notes: Sequence[str]


def render(stack: str, root: Path) -> list[Rendered]:
    """Render a stack, or `all` of them, as the checkout at ``root`` has it.

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
        notes.append(f"{stack}: rendered for an account that does not exist; AWS was not contacted")
    missing = without_digest(recording.manifests()) if config[IMAGES]["require_digests"] else []
    if missing:
        notes.append(
            f"{stack}: {DIGESTS_KEY} is true, but {len(missing)} images have no locked digest ({', '.join(missing)}); "
            "shown by tag here, refused by `pulumi up`: run `churn images lock --own` where the registries answer"
        )
    return Rendered(stack=stack, files=files(recording), objects=len(recording.manifests()), notes=notes)


def without_digest(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the images that containers name by tag alone."""

    def images(value: Any) -> set[str]:
        if isinstance(value, Mapping):
            containers = [*(value.get("containers") or []), *(value.get("initContainers") or [])]
            own = {c["image"] for c in containers if isinstance(c, Mapping) and isinstance(c.get("image"), str)}
            return own.union(*(images(item) for item in value.values()))
        return set().union(*(images(item) for item in value)) if isinstance(value, list) else set()

    return sorted(image for image in images(list(manifests)) if "@sha256:" not in image)


def files(recording: Recording) -> dict[str, str]:
    """Return the text of each file by its path; no secret value is in any of them."""
    texts: dict[str, str] = {}
    for resource in recording.resources:
        path, text = _kubernetes(resource) if resource.is_kubernetes else _other(resource)
        if path in texts:
            raise OpsError(f"two resources of {recording.stack} would be the file {path}: rename one of them")
        texts[path] = text
    texts["outputs.json"] = _json(hidden(recording.outputs, recording.secret_outputs))
    return texts


def _kubernetes(resource: Resource) -> tuple[str, str]:
    manifest = resource.manifest(masked=True)
    metadata = manifest["metadata"]
    name = metadata["name"] if "name" in resource.inputs.get("metadata", {}) else resource.name
    path = f"kubernetes/{metadata.get('namespace', CLUSTER_WIDE)}/{_file(manifest['kind'], name)}.yaml"
    options = {
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
        "ignoreChanges": sorted(resource.ignore_changes),
    }
    comments = [f"# pulumi {option}: {json.dumps(value)}\n" for option, value in options.items() if value]
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
    # The module is part of the name, since two of our components may share a class name (AWS and cluster networks).
    parts = [kind] if resource.custom else resource.type.split(":")[1:]
    return f"resources/{_file(package)}/{_file(*parts, resource.name)}.json", text


def _file(*parts: str) -> str:
    """Build a file name that every file system accepts."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(parts))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a diff shows their lines, and uses no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def check_target(out: Path) -> None:
    """Check that a folder may be written to: it is new, empty, or the output of an earlier render.

    Raises:
        OpsError: ``out`` contains something else.
        PathError: it cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise OpsError(f"{out} is a file: name a folder")
    check_folder(out)
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise OpsError(f"{out} holds files that no render wrote: name an empty or a new folder")


def write(out: Path, stacks: Sequence[Rendered]) -> None:
    """Write each stack into its folder under ``out``, replacing what an earlier render left there.

    Raises:
        OpsError: ``out`` contains something else.
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
