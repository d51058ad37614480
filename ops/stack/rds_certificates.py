"""Fetches the certificates of the authorities that sign RDS' servers, and checks that they are what they should be."""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from ops.errors import OpsError, TemporaryError

URL: Final = "https://truststore.pki.rds.amazonaws.com/{region}/{region}-bundle.pem"
"""Where AWS publishes them (RDS user guide, "Using SSL/TLS to encrypt a connection to a DB instance or cluster")."""
OWNER: Final = "Amazon Web Services, Inc."
TIMEOUT_SECONDS: Final = 30
MOST_BYTES: Final = 1_000_000
BEGIN: Final = "-----BEGIN CERTIFICATE-----"
Fetch = Callable[[str], bytes]
"""Returns what an address answers."""


def fetched(url: str) -> bytes:
    """Return what an address answers over HTTPS, whose certificate is verified.

    Raises:
        TemporaryError: no answer came.
        OpsError: the answer is an error, or too long.
    """
    try:
        answer = httpx.get(url, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise TemporaryError(f"no answer from {url}: {error}") from None
    if answer.status_code != httpx.codes.OK:
        raise OpsError(f"{url} answers {answer.status_code}: is the region right?")
    if len(answer.content) > MOST_BYTES:
        raise OpsError(f"{url} answers {len(answer.content)} bytes, which is no list of certificates")
    return answer.content


def save(region: str, target: Path, fetch: Fetch = fetched) -> str:
    """Fetch the certificates of a region into a file; returns a line that says what they are.

    Raises:
        OpsError: they are not those of RDS in this region; the file stays as it was.
    """
    text = fetch(URL.format(region=region)).decode("ascii", errors="replace").replace("\r\n", "\n")
    names = checked(text, region, now=time.time())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="ascii")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{target.name}: {', '.join(names)}; sha256 {digest}"


def checked(text: str, region: str, *, now: float) -> list[str]:
    """Return the names of the authorities in a PEM file; ``now`` is in seconds since 1970.

    Raises:
        OpsError: one is no authority of RDS in this region or has expired, or there is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError, UnicodeError):
        raise OpsError(f"what AWS publishes for {region} is not a list of certificates") from None
    authorities = context.get_ca_certs()
    if len(authorities) != text.count(BEGIN):
        raise OpsError(f"what AWS publishes for {region} has certificates that are not of an authority")
    names = []
    for authority in authorities:
        subject = _fields(authority["subject"])
        name = subject.get("commonName", "")
        own = re.fullmatch(rf"Amazon RDS {re.escape(region)} .*", name) and subject.get("organizationName") == OWNER
        if not own or authority["subject"] != authority["issuer"]:
            raise OpsError(f"{name!r} is no authority of RDS in {region}")
        if ssl.cert_time_to_seconds(str(authority["notAfter"])) < now:
            raise OpsError(f"{name!r} has expired on {authority['notAfter']}")
        names.append(name)
    return sorted(names)


def _fields(subject: Any) -> dict[str, str]:
    """Return the fields of a name by their kind, from the tuples of pairs in which `ssl` gives them."""
    return {str(key): str(value) for pair in subject for key, value in pair}
