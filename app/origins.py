"""The form of an origin, by which a browser names the site of a page that calls the API."""

from __future__ import annotations

import re
from typing import Final

_ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")
_DEFAULT_PORT: Final = re.compile(r"http://.*:80|https://.*:443")


def is_origin(text: str) -> bool:
    """Whether a browser could send this: lower case, no path, no wildcard, no default port."""
    return _ORIGIN.fullmatch(text) is not None and not _DEFAULT_PORT.fullmatch(text)
