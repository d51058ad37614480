"""Let every stack of a checkout run the images of one build: ``python -m ops.stack.image_tag TAG --registry ADDRESS``.

For pipelines: it writes registry and tag into each ``Pulumi.<stack>.yaml`` and leaves everything else in it as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ops.errors import BAD_INPUT, OpsError

ROOT: Final = Path(__file__).parents[2]
LINE: Final = re.compile(r'^(  churn:images: \{ registry: )[^,]+(, tag: )"[^"]*"', re.MULTILINE)
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
REGISTRY: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*")


def use(root: Path, registry: str, tag: str) -> list[str]:
    """Write them into the files of all stacks; returns the files' names.

    Raises:
        OpsError: one of them is not what it should be, or a file has no line for images; nothing is written then.
    """
    if not TAG.fullmatch(tag) or tag == "latest":
        raise OpsError(f"{tag!r} is no tag of one build: give the commit or the version")
    if not REGISTRY.fullmatch(registry):
        raise OpsError(f"{registry!r} is no registry: give what comes before the images' names, without https://")
    files = sorted(root.glob("Pulumi.*.yaml"))
    changed = {}
    for path in files:
        text, count = LINE.subn(rf'\g<1>{registry}\g<2>"{tag}"', path.read_text(encoding="utf-8"))
        if count != 1:
            raise OpsError(f"{path.name} has no line `churn:images: {{ registry: ..., tag: ...`: write it on one line")
        changed[path] = text
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return [path.name for path in files]


def main(argv: Sequence[str], root: Path = ROOT) -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack.image_tag", description=__doc__.partition("\n")[0])
    parser.add_argument("tag", help="of one build: its commit or version")
    parser.add_argument("--registry", required=True, help="what comes before the images' names")
    options = parser.parse_args(argv)
    try:
        names = use(root, options.registry, options.tag)
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program of a pipeline speaks to its log
        return BAD_INPUT
    print(f"{options.registry}/...:{options.tag} in {', '.join(names)}")  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
