"""Requests to servers of this machine or cluster, which are addressed by ``http://``."""

from __future__ import annotations

import ssl
from typing import Final

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What httpx is given for requests without TLS. It would load the system's certificates for each request otherwise,
which takes a hundred times as long as the request (28 ms of processor time) and adds up where a start is awaited by
asking again and again. This context has no certificates: it trusts no server of ``https://``."""
