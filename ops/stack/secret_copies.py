"""Gives a stack in a second region the API keys and receivers of the lost one, of which that region has copies.

Everything else that the new stack made for itself stays: a restore gives services and databases the new passwords.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from infra.secret_files import ALERT_RECEIVERS, API_KEYS, CLIENT_ROLE
from ops.errors import OpsError, exit_code
from ops.stack.stack_secrets import StackSecrets, look_up, plain_errors


def relied_on(secrets: StackSecrets) -> list[str]:
    """Return the roles whose values others rely on: keys of clients, and then the file by which the API knows them."""
    clients = sorted(role for role in secrets.copies if role.startswith(CLIENT_ROLE))
    return [role for role in (*clients, ALERT_RECEIVERS.name, API_KEYS.name) if role in secrets.copies]


def take_over(client: Any, stack: str, say: Callable[[str], object]) -> None:
    """Write the copies' current values into the stack's own secrets, where they differ; each gets a line.

    Raises:
        OpsError: there are no copies, a client of the lost stack is not in this one, or Secrets Manager refuses;
            nothing was written before all secrets were found.
    """
    secrets = look_up(client, stack)
    roles = relied_on(secrets)
    if not roles:
        raise OpsError(f"there are no copies of {stack}'s secrets here: name the region that has them with --region")
    several = [role for role in roles if len(secrets.copies[role]) > 1]
    if several:
        raise OpsError(
            f"there are several copies for {', '.join(several)}: delete those that are not of the lost stack"
        )
    pairs = {role: (secrets.copies[role][0], secrets.only(role)) for role in roles}
    with plain_errors():
        for role, (copy, own) in pairs.items():
            value = client.get_secret_value(SecretId=copy)["SecretString"]
            if client.get_secret_value(SecretId=own)["SecretString"] != value:
                client.put_secret_value(SecretId=own, SecretString=value)
                say(f"{role}: has the value of the copy")
            else:
                say(f"{role}: had it already")


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    import boto3  # noqa: PLC0415 - slow to import, and --help does not need it

    parser = argparse.ArgumentParser(prog="python -m ops.stack.secret_copies", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", required=True, help="stack that is up in the second region, such as prod")
    parser.add_argument("--region", required=True, help="the second region")
    options = parser.parse_args(argv)
    try:
        take_over(boto3.client("secretsmanager", region_name=options.region), options.stack, print)
    except OpsError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - a program that an administrator runs
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
