"""Stand-ins for docker, podman and buildah, by the name of the program: each with an image store of its own.

- Docker has the containerd image store of version 29: BuildKit attests what it builds unless `--provenance=false` says
  otherwise, and `docker save` writes an index that names the attestation without containing it (kubernetes-sigs/kind
  3795, containerd/containerd 11344). With ``CHURN_SHIMS_BUILDX=none`` it is the old builder, which refuses the option.
- Podman and buildah put `localhost/` before a name without a host (podman-container-tools/buildah 1034), and refuse
  `--provenance`. They do not write into an archive that exists (containers/image 2231). Buildah has no `save`; it
  pushes to an archive. It takes no option after the folder (tried with 1.28).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

from support.shims.state import Json, fail, note, options, stored

PROGRAM = Path(sys.argv[0]).stem
BUILD = {"docker": "build", "podman": "build", "buildah": "bud"}
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def main(words: list[str]) -> None:
    note(words)
    buildx = PROGRAM == "docker" and os.environ.get("CHURN_SHIMS_BUILDX") != "none"
    match words:
        case ["buildx", "version"] if buildx:
            sys.stdout.write("github.com/docker/buildx v0.30.1 stand-in\n")
        case ["image", "inspect", image] if PROGRAM != "buildah":
            named(image)
        case [command, *rest] if command == BUILD[PROGRAM]:
            build(rest, attests=buildx)
        case ["save", *rest] if PROGRAM != "buildah":
            known = ("-o", "--output", *(["--format"] if PROGRAM == "podman" else []))
            values, (image,) = options(rest, *known)
            # Podman has other formats, but kind loads only this one of them.
            if values.get("--format", "docker-archive") != "docker-archive":
                fail(f"Error: the stand-in for podman does not know the format {values['--format']}", 125)
            save(image, values.get("--output") or values["-o"])
        case ["push", image, target] if PROGRAM == "buildah" and target.startswith("docker-archive:"):
            _, path, name = target.split(":", 2)
            save(image, path, name)
        case _:
            fail(f"{PROGRAM}: unknown command: {' '.join(words)}", 125)


def build(words: list[str], *, attests: bool) -> None:
    known = ["-f", "--target", "-t", "--build-arg", *(["--provenance"] if attests else [])]
    values, (context,) = options(words, *known)
    if PROGRAM == "buildah" and words[-1] != context:
        fail(f"Error: accepts at most 1 arg(s), received {len(words) - words.index(context)}", 125)
    if not Path(context).is_dir():
        fail(f"unable to prepare context: path {context!r} not found")
    recipe = Path(values["-f"]).read_text()
    if f" AS {values['--target']}\n" not in recipe:
        fail(f"target stage {values['--target']!r} could not be found")
    attested = attests and values.get("--provenance") != "false"
    content = f"{values['--target']} of {context}: {recipe}"
    with stored(f"images-{PROGRAM}") as images:
        images[full(values["-t"])] = {"content": content, "attested": attested}


def full(name: str) -> str:
    first, slash, _ = name.partition("/")
    has_host = slash and ("." in first or ":" in first or first == "localhost")
    return name if PROGRAM == "docker" or has_host else f"localhost/{name}"


def named(image: str) -> Json:
    with stored(f"images-{PROGRAM}") as images:
        if full(image) not in images:
            fail(f"Error: No such image: {image}")
        entry: Json = images[full(image)]
        return entry


def save(image: str, path: str, name: str = "") -> None:
    entry = named(image)
    if PROGRAM != "docker" and Path(path).exists() and Path(path).stat().st_size:
        fail("Error: docker-archive doesn't support modifying existing images", 125)
    files: dict[str, bytes] = {}

    def blob(content: Any) -> str:
        text = json.dumps(content).encode()
        digest = hashlib.sha256(text).hexdigest()
        files[f"blobs/sha256/{digest}"] = text
        return f"sha256:{digest}"

    config = blob({"content": entry["content"]})
    top = {"mediaType": MANIFEST, "digest": blob({"config": config})}
    if entry["attested"]:
        absent = f"sha256:{hashlib.sha256(b'attestation').hexdigest()}"
        index = {"mediaType": INDEX, "manifests": [top, {"mediaType": MANIFEST, "digest": absent}]}
        top = {"mediaType": INDEX, "digest": blob(index)}
    if PROGRAM == "docker":
        files["index.json"] = json.dumps({"manifests": [top]}).encode()
    files["manifest.json"] = json.dumps([{"Config": config, "RepoTags": [name or full(image)], "Layers": []}]).encode()
    with tarfile.open(path, "w") as tar:
        for file, content in files.items():
            member = tarfile.TarInfo(file)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
