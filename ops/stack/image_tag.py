"""Make every stack of a checkout run the images of one build: ``python -m ops.stack.image_tag TAG --registry ADDRESS``.

For pipelines: it writes registry and tag into each ``Pulumi.<stack>.yaml`` and leaves everything else there as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ops.errors import OpsError, exit_code
from ops.stack.checkout import ROOT, stack_files

# With or without spaces inside the braces: Pulumi writes none, people do.
LINE: Final = re.compile(r'^(  churn:images: \{ ?registry: )[^,]+(, tag: )"[^"]*"', re.MULTILINE)
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
REGISTRY: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*")


def use_images(root: Path, registry: str, tag: str) -> list[str]:
    """Write registry and tag into the files of all stacks; returns the files' names.

    Raises:
        OpsError: the registry or the tag is malformed, or a file has no line for images; nothing is written then.
    """
    if not TAG.fullmatch(tag) or tag == "latest":
        raise OpsError(f"{tag!r} is not the tag of one build: give the commit or the version")
    if not REGISTRY.fullmatch(registry):
        raise OpsError(f"{registry!r} is not a registry: give what precedes the images' names, without https://")
    files = stack_files(root)
    changed = {}
    for path in files:
        text, count = LINE.subn(rf'\g<1>{registry}\g<2>"{tag}"', path.read_text(encoding="utf-8"))
        if count != 1:
            raise OpsError(f"{path.name} has no line `churn:images: {{registry: ..., tag: ...`: write it on one line")
        changed[path] = text
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return [path.name for path in files]


def main(argv: Sequence[str], root: Path = ROOT) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack.image_tag", description=__doc__.partition("\n")[0])
    parser.add_argument("tag", help="tag of one build: its commit or version")
    parser.add_argument("--registry", required=True, help="what precedes the images' names")
    options = parser.parse_args(argv)
    try:
        names = use_images(root, options.registry, options.tag)
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program of a pipeline writes to its log
        return exit_code(error)
    print(f"{options.registry}/...:{options.tag} in {', '.join(names)}")  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
