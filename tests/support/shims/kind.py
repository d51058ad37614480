"""A stand-in for kind: clusters are entries of a file, or with ``CHURN_SHIMS_CLUSTER`` the cluster of that tool.

It refuses what kind refuses (kubernetes-sigs/kind, pkg/cmd/kind and pkg/cluster):

- to create a cluster without a program that runs its nodes: docker or podman (pkg/cluster/provider.go);
- a name that exists, a cluster or a node that does not, an unknown option, no images;
- a configuration of another version or with an unknown field (internal/apis/config/encoding decodes strictly);
- a host port that is taken, in docker's words;
- `load docker-image` of an image that docker does not have: older releases ask no other builder (issue 2027);
- to load anything into nodes that do not run;
- an archive whose index names a manifest that is not in it, since nodes import all platforms (issue 3795).

A new cluster has no metrics-server, and `create` and `delete` change kubectl's current context as kind's do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import Any

from support.shims.state import (
    add_context,
    fail,
    folder,
    kubeconfig,
    note,
    options,
    read_yaml,
    remove_context,
    stored,
    write_kubeconfig,
)

TOOL = "CHURN_SHIMS_CLUSTER"
"""Variable with the command of a real cluster that takes images, which then plays the only kind cluster."""
FIELDS = {
    "": {"kind", "apiVersion", "name", "nodes", "networking", "featureGates", "runtimeConfig", "kubeadmConfigPatches",
         "kubeadmConfigPatchesJSON6902", "containerdConfigPatches", "containerdConfigPatchesJSON6902"},
    "nodes": {"role", "image", "labels", "extraMounts", "extraPortMappings", "gpus", "kubeadmConfigPatches",
              "kubeadmConfigPatchesJSON6902"},
    "extraPortMappings": {"containerPort", "hostPort", "listenAddress", "protocol"},
    "extraMounts": {"containerPath", "hostPath", "readOnly", "selinuxRelabel", "propagation"},
    "networking": {"ipFamily", "apiServerPort", "apiServerAddress", "podSubnet", "serviceSubnet", "disableDefaultCNI",
                   "kubeProxyMode", "dnsSearch"},
}  # fmt: skip
"""Fields of a configuration (kind's pkg/apis/config/v1alpha4/types.go)."""
DEFAULT_NODES: list[dict[str, Any]] = [{"role": "control-plane"}]


def main(words: list[str]) -> None:
    note(words)
    match words:
        case ["get", "clusters"]:
            with stored("clusters") as clusters:
                names = sorted(name for name, cluster in clusters.items() if cluster["tool"] == "kind")
            sys.stdout.write("".join(f"{name}\n" for name in names))
            if not names:
                sys.stderr.write("No kind clusters found.\n")
        case ["create", "cluster", *rest]:
            create(rest)
        case ["delete", "cluster", *rest]:
            delete(rest)
        case ["load", "docker-image", *rest]:
            load_docker_image(rest)
        case ["load", "image-archive", *rest]:
            load_archive(rest)
        case _:
            fail(f'ERROR: unknown command "{" ".join(words[:2])}" for "kind"')


def create(words: list[str]) -> None:
    values, others = options(words, "--name", "--config", "--wait", "--image")
    if others:
        fail(f"ERROR: unknown command {others[0]!r} for 'kind create cluster'")
    if TOOL not in os.environ and not any(beside(builder) for builder in ("docker", "podman")):
        fail(
            'ERROR: failed to create cluster: failed to list nodes: exec: "docker": executable file not found in $PATH'
        )
    name = values.get("--name", "kind")
    nodes = configured(values["--config"]) if "--config" in values else DEFAULT_NODES
    ports = [mapping["hostPort"] for node in nodes for mapping in node.get("extraPortMappings", [])]
    with stored("clusters") as clusters:
        if name in clusters:
            fail(f'ERROR: failed to create cluster: node(s) already exist for a cluster with the name "{name}"')
        taken = {port for cluster in clusters.values() for port in cluster["ports"]}
        for port in ports:
            if port in taken:
                fail(f"ERROR: failed to create cluster: Bind for 127.0.0.1:{port} failed: port is already allocated")
        server = f"https://127.0.0.1:{40000 + len(clusters)}"
        more: dict[str, Any] = {}
        if TOOL in os.environ:
            path = subprocess.run([os.environ[TOOL], "kubeconfig"], capture_output=True, text=True, check=True).stdout
            real = read_yaml(Path(path.strip()))
            more = {"cluster": real["clusters"][0]["cluster"], "user": real["users"][0]["user"]}
            server = more["cluster"]["server"]
        image = nodes[0].get("image", "")
        clusters[name] = {
            "tool": "kind", "server": server, "uid": str(uuid.uuid4()), "running": True, "images": [], "ports": ports,
            "image": image, "apis": [], "objects": {},
        }  # fmt: skip
    add_context(f"kind-{name}", server, current=True, **more)


def beside(program: str) -> bool:
    """Whether the desk has a program; what the machine has besides does not count."""
    return (Path(sys.argv[0]).parent / program).exists()


def configured(path: str) -> list[dict[str, Any]]:
    """The nodes of a configuration."""
    try:
        content = read_yaml(Path(path))
    except OSError as error:
        fail(f"ERROR: failed to create cluster: unable to read config: {error}")
    if content.get("apiVersion") != "kind.x-k8s.io/v1alpha4" or content.get("kind") != "Cluster":
        fail(f"ERROR: failed to create cluster: unknown apiVersion: {content.get('apiVersion')} for kind")
    nodes: list[dict[str, Any]] = content.get("nodes", DEFAULT_NODES)
    known("", content)
    known("networking", content.get("networking", {}))
    for node in nodes:
        known("nodes", node)
        for place in ("extraPortMappings", "extraMounts"):
            for entry in node.get(place, []):
                known(place, entry)
    return nodes


def known(place: str, content: dict[str, Any]) -> None:
    for field in content:
        if field not in FIELDS[place]:
            fail(f"ERROR: failed to create cluster: unable to decode config: yaml: field {field} not found in type")


def delete(words: list[str]) -> None:
    values, _ = options(words, "--name")
    name = values.get("--name", "kind")
    with stored("clusters") as clusters:
        if clusters.pop(name, {"tool": ""})["tool"] != "kind":
            fail(f'ERROR: failed to delete cluster "{name}": cluster "{name}" doesn\'t exist')
    content = kubeconfig()
    remove_context(content, f"kind-{name}")
    write_kubeconfig(content)


def load_docker_image(words: list[str]) -> None:
    values, images = options(words, "--name", "--nodes")
    if not images:
        fail("ERROR: a list of image names is required")
    for image in images:
        has_docker = shutil.which("docker") is not None
        if not has_docker or subprocess.run(["docker", "image", "inspect", image], check=False).returncode:
            fail(f'ERROR: image: "{image}" not present locally')
        archive = folder() / "kind-images.tar"
        subprocess.run(["docker", "save", "-o", str(archive), image], check=True)
        load_archive(["--name", values.get("--name", "kind"), str(archive)])


def load_archive(words: list[str]) -> None:
    values, archives = options(words, "--name", "--nodes")
    name = values.get("--name", "kind")
    if not archives:
        fail("ERROR: name of image archive is required")
    for archive in archives:
        if not Path(archive).exists():
            fail(f"ERROR: stat {archive}: no such file or directory")
        with stored("clusters") as clusters:
            if clusters.get(name, {"tool": ""})["tool"] != "kind":
                fail(f'ERROR: no nodes found for cluster "{name}"')
            if not clusters[name]["running"]:
                fail(f'ERROR: failed to load image: command "docker exec {name}-control-plane" failed: not running')
            clusters[name]["images"] += imported(Path(archive))
        if TOOL in os.environ:
            subprocess.run([os.environ[TOOL], "load", archive], check=True)


def imported(archive: Path) -> list[str]:
    """Names that `ctr images import --all-platforms` gives to the images of an archive, written out in full."""
    with tarfile.open(archive) as tar:
        names = {member.name for member in tar.getmembers()}

        def content(name: str) -> Any:
            file = tar.extractfile(name)
            assert file is not None
            return json.load(file)

        if "index.json" in names:
            waiting = list(content("index.json")["manifests"])
            while waiting:
                descriptor = waiting.pop()
                blob = f"blobs/{descriptor['digest'].replace(':', '/')}"
                if blob not in names:
                    fail(f"ERROR: failed to load image: ctr: content digest {descriptor['digest']}: not found")
                if descriptor["mediaType"].endswith("index.v1+json"):
                    waiting += content(blob)["manifests"]
        if "manifest.json" not in names:
            fail("ERROR: failed to load image: ctr: unrecognized image format")
        return [in_full(tag) for image in content("manifest.json") for tag in image["RepoTags"]]


def in_full(name: str) -> str:
    """A name as containerd and the kubelet complete it (distribution/reference, `ParseDockerRef`)."""
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"
