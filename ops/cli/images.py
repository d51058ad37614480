"""``churn images``: which images there are, and their digests."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.options import HELP_STYLE, Json
from ops.cli.render import require_program
from ops.console import Output
from ops.errors import OpsError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=HELP_STYLE)


@app.callback()
def images() -> None:
    """Show and lock the images that the stacks run.

    Example: churn images list
    """


@app.command("list")
def show(*, as_json: Json = False) -> None:
    """Show each image and its digest, or that it is not locked. Offline.

    Example: churn images list --json
    """
    require_program()
    from infra.versions import LOCK_FILE
    from ops.stack import images
    from ops.stack.checkout import ROOT

    digests = images.locked(LOCK_FILE)
    users = dict.fromkeys(images.public_images(), "all stacks") | {
        image: ", ".join(stacks) for image, stacks in images.own_images(ROOT).items()
    }
    output = Output(as_json=as_json)
    output.result(
        [{"image": image, "digest": digests.get(image), "stacks": used} for image, used in users.items()],
        lambda: output.table(
            ("Image", "Digest", "Used by"),
            [(image, digests.get(image, "not locked"), used) for image, used in users.items()],
        ),
    )


@app.command()
def lock(
    *,
    own: Annotated[
        bool, typer.Option("--own", help="Ask for the project's own images too, once they are pushed.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if the lock file is behind.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the registries for the digest of each image, and write the lock file.

    Needs the network, for a minute at most. If one image cannot be found nothing is written. A private registry is
    asked with what 'docker login' stored.

    Example: churn images lock --own
    """
    require_program()
    from infra.versions import LOCK_FILE
    from ops.stack import images
    from ops.stack.checkout import ROOT

    ours = images.own_images(ROOT)
    old = images.locked(LOCK_FILE)
    output = Output(as_json=as_json)
    wanted = [*images.public_images(), *(ours if own else ())]
    with output.waiting(f"Asking the registries for {len(wanted)} digests"):
        found = images.look_up(wanted)
    new = {image: digest for image, digest in old.items() if image in ours} | found
    changes = images.differences(old, new)
    if check and changes:
        raise OpsError("\n".join([f"{LOCK_FILE.name} is behind, run `churn images lock`:", *changes]))
    if not check:
        images.write_lock(LOCK_FILE, new)

    def words() -> None:
        for line in changes:
            output.say(line)
        output.say(f"{len(new)} images are locked in {LOCK_FILE.name}, {len(changes)} of them changed")

    output.result({"locked": new, "changed": changes}, words)


@app.command()
def build(
    target: Annotated[
        list[str] | None, typer.Argument(help="api, mlflow, ops, training; all of them by default.")
    ] = None,
    *,
    stack: Annotated[str, typer.Option(help="The stack whose registry and tag the images get.")] = "dev",
    tag: Annotated[str, typer.Option(help="Another tag than the stack's.")] = "",
    tool: Annotated[
        str,
        typer.Option(envvar="CHURN_BUILD", help="Build command; by default docker, podman or buildah, what is there."),
    ] = "",
) -> None:
    """Build the project's own images from the Dockerfile.

    Example: churn images build api --tool 'podman build'
    """
    require_program()
    from ops.stack import image_build
    from ops.stack.checkout import ROOT

    output = Output()
    words = image_build.find_tool(tool)
    for wanted in image_build.builds(stack, ROOT, target or (), tag):
        image_build.run(image_build.command(words, wanted, ROOT), output.say)
