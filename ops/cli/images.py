"""``churn images``: shows, locks, builds and keeps the images that the stacks run."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.options import HELP_STYLE, Json
from ops.cli.render import require_program
from ops.console import Output
from ops.errors import RefusedError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=HELP_STYLE)


@app.callback()
def images() -> None:
    """Show, lock, build and keep the images that the stacks run.

    Example: churn images list
    """


@app.command("list")
def show(*, as_json: Json = False) -> None:
    """Show each image with its locked digest, offline.

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
    own: Annotated[bool, typer.Option("--own", help="Include the project's own images, once they are pushed.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if the lock file is out of date.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look up the digest of each image in its registry, and write the lock file.

    Needs the network, for a minute at most. If an image cannot be found, nothing is written. For a private registry the
    login that 'docker login' stored is used.

    Example: churn images lock --own
    """
    require_program()
    from infra.versions import LOCK_FILE
    from ops.stack import images
    from ops.stack.checkout import ROOT

    ours = images.own_images(ROOT)
    old = images.locked(LOCK_FILE)
    output = Output(as_json=as_json)
    names = [*images.public_images(), *(images.published(ours) if own else ())]
    with output.waiting(f"Asking the registries for {len(names)} digests"):
        digests = images.look_up(names)
    new = {image: digest for image, digest in old.items() if image in ours} | digests
    changes = images.differences(old, new)
    if check and changes:
        raise RefusedError("\n".join([f"{LOCK_FILE.name} is out of date, run `churn images lock`:", *changes]))
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
        list[str] | None, typer.Argument(help="api, mlflow, ops or training. Default: all of them.")
    ] = None,
    *,
    stack: Annotated[str, typer.Option(help="Stack whose registry and tag the images get.")] = "dev",
    tag: Annotated[str, typer.Option(help="Tag to use instead of the stack's.")] = "",
    tool: Annotated[
        str,
        typer.Option(envvar="CHURN_BUILD", help="Build command. Default: docker, podman or buildah."),
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
    for each in image_build.builds(stack, ROOT, target or (), tag):
        image_build.run(image_build.command(words, each, ROOT), output.say)


@app.command()
def keep(*, stack: Annotated[str, typer.Option(help="Stack that runs the images, such as prod.")]) -> None:
    """Mark the images that a stack runs, so that ECR's rules never delete them; the mark moves with each deployment.

    Run it after `pulumi up`; the pipeline does. Needs AWS' credentials and the network, for seconds.

    Example: churn images keep --stack prod
    """
    require_program()
    import boto3

    from infra.versions import LOCK_FILE
    from ops.stack import image_keep, images
    from ops.stack.checkout import ROOT

    output, digests = Output(), images.locked(LOCK_FILE)
    for image in image_keep.own_of(stack, ROOT):
        ecr = boto3.client("ecr", region_name=image_keep.region_of(image))
        output.say(f"{image} stays: {image_keep.keep(ecr, stack, image, digests)}")
