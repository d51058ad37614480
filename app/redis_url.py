"""The form of REDIS_URL: strict, because a parser of URLs misreads a password that is not percent-encoded.

A `#` in a password cuts the rest off, a `/` makes the user the host and the rest a database that redis-py then ignores,
and what is left may well be a valid address: of another server (redis-py 1171, celery 7864). So each part may hold only
characters that no other part begins with.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr

_LOGIN: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:^|`{}<>\"\\-]|%[0-9A-Fa-f]{2})*"
_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
_OPTIONS: Final = r"[A-Za-z0-9_]+=[^@#?\[\]\s]*"
_REDIS_URL: Final = re.compile(
    rf"(?:redis|rediss|valkey|valkeys)://(?:{_LOGIN}@)?{_HOST}(?::(?P<port>[0-9]{{1,5}}))?(?:/[0-9]*)?(?:\?{_OPTIONS})?"
)
_PORT_MAX: Final = 65535


def _checked(url: SecretStr) -> SecretStr:
    match = _REDIS_URL.fullmatch(url.get_secret_value())
    if match is None or not 0 < int(match["port"] or 1) <= _PORT_MAX:
        # One line, and nothing of the value: what looks like the host may be a part of the password.
        raise ValueError(
            "not of the form redis://user:password@host:port/0 (also rediss, valkey, valkeys); in user and password, "
            "write each character but letters and digits as %XX, for example %23 for # and %2F for /"
        )
    return url


RedisUrl = Annotated[SecretStr, AfterValidator(_checked)]
"""Address of a Redis or Valkey server, which holds its password."""
