"""``churn receivers``: checks the secrets of the alert receivers, and puts them into Secrets Manager."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.console import Output


def receivers(
    file: Annotated[Path, typer.Argument(help="JSON file with the keys of the secret 'alert-receivers'.")],
    *,
    stack: Annotated[str, typer.Option(help="Stack on AWS whose Alertmanager gets them.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the file; write nothing.")] = False,
) -> None:
    """Put the secrets of a stack's alert receivers into Secrets Manager.

    The file is checked first: with a number or a missing key in it, no pod of Alertmanager could start, and the pod's
    events would not say why.

    Example: churn receivers receivers.json --stack prod
    """
    from ops.errors import OpsError
    from ops.jobs.rotation.contents import problems
    from ops.stack import receivers as secret
    from ops.stack.checkout import ROOT

    content = secret.read(file)
    lines = problems(content, secret.FILES) or secret.unset(stack, content, ROOT)
    if lines:
        raise OpsError("\n".join([f"{file} cannot be used:", *(f"  {line}" for line in lines)]))
    if check:
        Output().say(f"{file} can be used for {stack}", "green")
        return
    import boto3

    name = secret.put(boto3.client("secretsmanager"), stack, content)
    Output().say(f"{name} has the new values: pods read them within about two minutes", "green")
