"""Passwords of MLflow and Grafana: whether a service accepts a login, and how a password is changed there."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from .options import RotationError

CALL_SECONDS: Final = 10
UNAUTHORIZED: Final = (401, 403)
FIRST_ERROR: Final = 400
"""The lowest status code that reports an error."""

Send = Callable[[urllib.request.Request], int]
"""Sends a request and returns the status code of the answer."""


def send(request: urllib.request.Request) -> int:
    """Send a request over HTTPS and return the status code, whether it reports success or an error.

    Raises:
        RotationError: no answer came.
    """
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - addresses are the stack's
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        raise RotationError(f"{request.host} does not answer: {error}") from None


@dataclass(frozen=True, kw_only=True)
class LoginApi:
    """Two calls of a service: one that any valid login may make, and one that changes a password."""

    check_url: str
    change_url: str
    change_method: str
    send: Send

    def accepts(self, login: Mapping[str, str]) -> bool:
        """Whether the service accepts a login.

        Raises:
            RotationError: it answers with an error that says nothing about the login.
        """
        url = self.check_url.format(username=login["username"])
        status = self.send(_request("GET", url, login))
        if status in UNAUTHORIZED:
            return False
        if status >= FIRST_ERROR:
            raise RotationError(f"{url} answers {status}")
        return True

    def change(self, username: str, body: Mapping[str, str], *, login: Mapping[str, str]) -> None:
        """Change a user's password, logged in with ``login``.

        Raises:
            RotationError: the service refuses.
        """
        status = self.send(_request(self.change_method, self.change_url, login, body))
        if status >= FIRST_ERROR:
            raise RotationError(f"{self.change_url} answers {status}: the password of {username} stays as it was")


def mlflow(url: str, send: Send) -> LoginApi:
    """The calls of MLflow."""
    return LoginApi(
        check_url=f"{url}/api/2.0/mlflow/users/get?username={{username}}",
        change_url=f"{url}/api/2.0/mlflow/users/update-password",
        change_method="PATCH",
        send=send,
    )


def grafana(url: str, send: Send) -> LoginApi:
    """The calls of Grafana."""
    return LoginApi(check_url=f"{url}/api/user", change_url=f"{url}/api/user/password", change_method="PUT", send=send)


def _request(
    method: str, url: str, login: Mapping[str, str], body: Mapping[str, str] | None = None
) -> urllib.request.Request:
    token = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    return urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - addresses are the stack's
