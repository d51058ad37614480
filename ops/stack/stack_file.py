"""Changes single values of a stack's configuration file and leaves the rest of the file as it is, comments included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from ops.errors import OpsError
from training.outputs import replaced

Key = tuple[str, str]
"""A section by its full name, and a key in it: ``("churn:images", "tag")``."""


def with_values(path: Path, values: Mapping[Key, str]) -> str:
    """Return the text of a stack's file with some values changed, whether its sections are on one line or on several.

    Raises:
        OpsError: the file is no configuration of a stack, or has no such key.
    """
    text = path.read_text(encoding="utf-8")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise OpsError(f"{path.name} is no YAML: {error}") from None
    places = []
    for (section, key), value in values.items():
        node = _child(_child(_child(root, "config"), section), key)
        if not isinstance(node, yaml.ScalarNode):
            raise OpsError(f"{path.name} has no value {section}.{key}: add it, as the other stacks' files have it")
        places.append((node.start_mark.index, node.end_mark.index, json.dumps(value)))
    for start, end, shown in sorted(places, reverse=True):
        text = text[:start] + shown + text[end:]
    return text


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def set_values(path: Path, values: Mapping[Key, str]) -> None:
    """Write values into a stack's file, in one piece; a file that has them already is not touched.

    Raises:
        OpsError: see :func:`with_values`.
    """
    text = with_values(path, values)
    if yaml.safe_load(text) != yaml.safe_load(path.read_text(encoding="utf-8")):
        with replaced(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
