"""Contents of secrets: templates of files whose `{{name}}` is a generated value, `{{sha256:name}}` the hash of one."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Mapping
from typing import Final

PLACEHOLDER: Final = re.compile(r"\{\{(?P<hashed>sha256:)?(?P<name>[a-z0-9-]+)\}\}")
ALPHABET: Final = string.ascii_letters + string.digits
LENGTH: Final = 43
"""Letters and digits of a value, which make 256 bits and need no escape in any file format."""


def generated() -> str:
    """Return a new random value."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def problems(content: object, files: Mapping[str, str] | frozenset[str]) -> list[str]:
    """Return what would keep the CSI driver from mounting these files; no line contains a value.

    The driver's AWS provider reads each key by a JMESPath. It refuses whatever is not a text, and a missing key; the
    pod's event says only that the secret cannot be fetched (aws/secrets-store-csi-driver-provider-aws,
    `provider/secret_value.go` and issue 552).
    """
    if not isinstance(content, dict):
        return [f"it is not an object with the keys {', '.join(sorted(files))}"]
    lines = [f"{name} is missing" for name in sorted(files) if name not in content]
    return lines + [
        f"{name} is {_kind(content[name])}, not a text: put it in quotation marks"
        for name in sorted(files)
        if name in content and not isinstance(content[name], str)
    ]


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", type(None): "null", list: "a list"}
    return names.get(type(value), "an object")


def filled(files: Mapping[str, str], current: Mapping[str, str]) -> dict[str, str]:
    """Return the content of a secret: what is there stays, what is missing is generated.

    A file whose template is empty is a person's to write, and left as it is. Every other follows its template, such as
    to a new address, around the values that it has now; if they cannot be recognised, it is left as it is too.
    """
    values = _values(files, current)
    content = dict(current)
    for file, template in files.items():
        names = {match["name"] for match in PLACEHOLDER.finditer(template)}
        if file in current and (not template or not names <= values.keys()):
            continue
        for name in names - values.keys():
            values[name] = generated()
        content[file] = PLACEHOLDER.sub(lambda match: _text(match, values), template)
    return content


def _text(match: re.Match[str], values: Mapping[str, str]) -> str:
    value = values[match["name"]]
    return hashlib.sha256(value.encode()).hexdigest() if match["hashed"] else value


def _values(files: Mapping[str, str], current: Mapping[str, str]) -> dict[str, str]:
    """Return the values in the present files, looked for in those lines where the templates have them."""
    values: dict[str, str] = {}
    for file, template in files.items():
        for line in template.splitlines():
            place = PLACEHOLDER.search(line)
            if place is None or place["hashed"]:
                continue
            before, after = re.escape(line[: place.start()]), re.escape(line[place.end() :])
            present = re.search(rf"^{before}(?P<value>\S+){after}$", current.get(file, ""), re.MULTILINE)
            if present is not None:
                values.setdefault(place["name"], present["value"])
    return values
