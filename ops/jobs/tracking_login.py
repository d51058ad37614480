"""Restricts readers of the MLflow server to reading, which its own permissions cannot do.

MLflow lets every user with a login create experiments and models. Whoever has the API's login could so fill the
registry, so its requests are refused unless they only read. MLflow calls
:func:`authorize` for each request, as its `authorization_function`.
"""

from __future__ import annotations

from typing import Final

from flask import Response, request
from mlflow.server.auth import authenticate_request_basic_auth, make_forbidden_response
from werkzeug.datastructures import Authorization

from ops.jobs.tracking_users import READERS

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def authorize() -> Authorization | Response:
    """Return the login of the request, or an answer that refuses it."""
    login: Authorization | Response = authenticate_request_basic_auth()
    if isinstance(login, Authorization) and login.username in READERS and request.method not in _READING:
        refused: Response = make_forbidden_response()
        return refused
    return login
