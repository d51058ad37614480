"""Asks an AWS account beforehand what `pulumi up` would stumble over: ``churn aws preflight``.

It only reads. What the credentials may not read is a warning, since the stack may come up all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.config_loader import parse
from ops.errors import OpsError, TemporaryError
from ops.stack import preflight_account, preflight_versions
from ops.stack.checkout import stack_config
from ops.stack.doctor_checks import Finding, Level
from ops.stack.preflight_asked import Asked, Check

CHECKS: Final = (*preflight_account.CHECKS, *preflight_versions.CHECKS)
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=10, read_timeout=30)
_FORBIDDEN: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_NO_LOGIN: Final = {"NoCredentialsError", "PartialCredentialsError", "SSOTokenLoadError", "TokenRetrievalError"}


def ask(stack: str, root: Path, client: Callable[[str], Any] | None = None) -> Iterator[Finding]:
    """Run every check of a stack, one after the other.

    Raises:
        OpsError: there is no such stack, it is not on AWS, or there are no credentials.
    """
    config = stack_config(stack, root)
    prefix = "churn:"
    settings = parse(
        stack, {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    )
    if settings.cluster.kind != "eks":
        raise OpsError(f"{stack} is not on AWS: choose a stack whose churn:cluster.kind is eks, such as staging")
    asked = Asked(settings=settings, client=client or _clients(settings.account.region))
    for check in CHECKS:
        try:
            yield from check(asked)
        except ClientError as error:
            yield _unread(check, error)
        except BotoCoreError as error:
            if type(error).__name__ in _NO_LOGIN:
                raise OpsError(f"{error}: log in to the account first, such as with `aws sso login`") from None
            yield _warning(check, f"AWS gives no answer: {error}", "try again")
        except TemporaryError as error:
            yield _warning(check, str(error), "try again")


def _clients(region: str) -> Callable[[str], Any]:
    return lambda service: boto3.client(service, region_name=region, config=_CONFIG)


def _warning(check: Check, text: str, remedy: str) -> Finding:
    return Finding(check=check.__name__.replace("_", " "), level=Level.WARNING, text=text, remedy=remedy)


def _unread(check: Check, error: ClientError) -> Finding:
    code = str(error.response["Error"].get("Code", ""))
    if code in {"ExpiredToken", "InvalidClientTokenId", "UnrecognizedClientException"}:
        raise OpsError(f"AWS refuses the credentials ({code}): log in again")
    remedy = "use credentials that may read it" if code in _FORBIDDEN else "see the AWS console, or try again"
    return _warning(check, f"{error.operation_name} was refused: {code}", remedy)
