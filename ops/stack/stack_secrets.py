"""The secrets that a stack has in Secrets Manager, by what they are for, apart from copies of another region's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.naming import PROJECT
from ops.errors import OpsError, TemporaryError


@dataclass(frozen=True, kw_only=True)
class StackSecrets:
    """Full names by role, such as ``alert-receivers``; AWS ends each name with characters of its own."""

    prefix: str
    own: dict[str, list[str]] = field(default_factory=dict)
    copies: dict[str, list[str]] = field(default_factory=dict)
    """Those that Secrets Manager maintains for a stack of that name in another region."""

    def only(self, role: str) -> str:
        """Return the name of the stack's own secret of a role.

        Raises:
            OpsError: there is none, or there are several.
        """
        names = self.own.get(role, [])
        if len(names) != 1:
            called = f"{len(names)} secrets are called {self.prefix}{role}-..."
            raise OpsError(f"{called}: there must be one, which `pulumi up` creates")
        return names[0]


def look_up(client: Any, stack: str) -> StackSecrets:
    """List a stack's secrets in the region of ``client``, which is boto3's.

    A deleted secret that can still be recovered is not listed.
    """
    prefix, region = f"{PROJECT}-{stack}/", client.meta.region_name
    listed = StackSecrets(prefix=prefix)
    with plain_errors():
        pages = client.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
        for item in (item for page in pages for item in page["SecretList"]):
            if item["Name"].startswith(prefix):
                role = item["Name"].removeprefix(prefix).rpartition("-")[0]
                # A replica has the name of its original, which is in the region that this names.
                is_copy = item.get("PrimaryRegion", region) != region
                (listed.copies if is_copy else listed.own).setdefault(role, []).append(item["Name"])
    return listed


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise what Secrets Manager refuses as an `OpsError`, which contains no value."""
    try:
        yield
    except ClientError as error:
        raise OpsError(f"Secrets Manager answers {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise TemporaryError(f"no answer from Secrets Manager: {error}") from None
