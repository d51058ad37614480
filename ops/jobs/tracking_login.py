"""Who may do what at the MLflow server, beyond its own permissions: readers only read.

MLflow lets every user with a login make experiments and models of their own. For the API's login that would be a way to
fill the registry with whatever comes, so its requests are refused unless they only read. MLflow calls
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
    """The login of the request, or the answer that refuses it."""
    found: Authorization | Response = authenticate_request_basic_auth()
    if isinstance(found, Authorization) and found.username in READERS and request.method not in _READING:
        refused: Response = make_forbidden_response()
        return refused
    return found
