"""``churn cluster``: the `dev` stack on a local cluster."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.options import HELP_STYLE
from ops.cli.render import require_program
from ops.console import Output

app = typer.Typer(no_args_is_help=True, rich_markup_mode=HELP_STYLE)


@app.callback()
def cluster() -> None:
    """Bring the whole platform up on a local Kubernetes, and remove it.

    Example: churn cluster up
    """


@app.command()
def up(
    *,
    tool: Annotated[
        str, typer.Option(envvar="CHURN_BUILD", help="Build command; docker, podman or buildah by default.")
    ] = "",
    load: Annotated[
        str, typer.Option(envvar="CHURN_LOAD", help="Command that takes an image into the cluster; known for kind, ...")
    ] = "",
    build: Annotated[
        bool, typer.Option(help="Build and load the images; --no-build takes those that are there.")
    ] = True,
) -> None:
    """Build the images, load them, run `pulumi up` for dev, and say where everything answers.

    The cluster is that of kubectl's current context; where none answers, kind makes one. Needs kubectl, pulumi, and
    docker or the like. May be given again: what is there is kept, what has changed is brought up to date.

    Example: churn cluster up --load 'minikube image load'
    """
    require_program()
    from ops.local.home import Home
    from ops.stack import cluster
    from ops.stack.checkout import ROOT

    output, home = Output(), Home.from_environment()
    found = cluster.up(ROOT, home, cluster.Options(tool=tool, load=load, build=build), output.say)
    for line in cluster.instructions(found, cluster.certificate(home)):
        output.say(line)


@app.command()
def down(
    *,
    keep_cluster: Annotated[bool, typer.Option("--keep-cluster", help="Keep the kind cluster that `up` made.")] = False,
) -> None:
    """Run `pulumi destroy` for dev, and delete the kind cluster that `up` made.

    Data goes with it: take a backup out first if you want to keep some.

    Example: churn cluster down --keep-cluster
    """
    require_program()
    from ops.local.home import Home
    from ops.stack import cluster
    from ops.stack.checkout import ROOT

    cluster.down(ROOT, Home.from_environment(), Output().say, keep_cluster=keep_cluster)
