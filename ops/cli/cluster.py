"""``churn cluster``: the `dev` stack on a local cluster."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli import cluster_restore
from ops.cli.options import HELP_STYLE
from ops.cli.render import require_program
from ops.console import Output

Context = Annotated[
    str,
    typer.Option(
        help="Context of the cluster. Default: the one that dev is in, or the current one. A cluster that is not known "
        "to be on this machine must be named each time."
    ),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=HELP_STYLE)


app.command("restore")(cluster_restore.restore)


@app.callback()
def cluster() -> None:
    """Bring the whole platform up on a local Kubernetes cluster, and remove it.

    Example: churn cluster up
    """


@app.command()
def up(
    *,
    tool: Annotated[
        str, typer.Option(envvar="CHURN_BUILD", help="Build command. Default: docker, podman or buildah.")
    ] = "",
    load: Annotated[
        str,
        typer.Option(
            envvar="CHURN_LOAD", help="Command that loads an image into the cluster. Default: by the kind of cluster."
        ),
    ] = "",
    build: Annotated[bool, typer.Option(help="Build and load the images; --no-build uses the existing ones.")] = True,
    context: Context = "",
) -> None:
    """Build the images, load them, run `pulumi up` for dev, and print all addresses.

    Uses the cluster of kubectl's current context if it is on this machine; if none answers, kind creates one. The stack
    stays bound to its cluster, whatever kubectl's context becomes. Needs kubectl, pulumi, and docker or a similar tool.
    Run it again to apply changes, of the code too; everything else stays as it is.

    Example: churn cluster up --load 'minikube image load'
    """
    require_program()
    from ops.local.home import Home
    from ops.stack import cluster
    from ops.stack.checkout import ROOT

    output, home = Output(), Home.from_environment()
    exported = cluster.up(ROOT, home, cluster.Options(tool=tool, load=load, build=build, context=context), output.say)
    for line in cluster.instructions(exported, cluster.certificate(home)):
        output.say(line)


@app.command()
def wait(
    *,
    context: Annotated[str, typer.Option(help="Context of the cluster. Default: kubectl's current one.")] = "",
) -> None:
    """Wait until every workload runs its newest pods; fails if one does not get ready in its time.

    `pulumi up` does not wait for every kind of rollout to its end. `churn cluster up` runs this by itself.

    Example: churn cluster wait --context churn-prod
    """
    require_program()
    from ops.stack import rollouts

    output = Output()
    rollouts.wait(output.say, context)
    output.say("Every workload is ready.")


@app.command()
def down(
    *,
    keep_cluster: Annotated[
        bool, typer.Option("--keep-cluster", help="Keep the kind cluster that `up` created.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove only the state, of a stack whose cluster is gone.")
    ] = False,
    context: Context = "",
) -> None:
    """Run `pulumi destroy` for dev, and delete the kind cluster that `up` created.

    This deletes all data: copy a backup out of the cluster first if you need one. It acts only on the cluster that dev
    is in, and refuses if kubectl's context is another one.

    Example: churn cluster down --keep-cluster
    """
    require_program()
    from ops.local.home import Home
    from ops.stack import cluster
    from ops.stack.checkout import ROOT

    home, say = Home.from_environment(), Output().say
    if forget:
        cluster.forget(ROOT, home, say)
    else:
        cluster.down(ROOT, home, context, say, keep_cluster=keep_cluster)
