"""What the stand-ins of command-line tools share: a folder with the clusters, each builder's images, and the calls.

The stand-ins are programs that tests put on PATH. Each refuses what the real one refuses, in its words; the sources are
named there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

FOLDER = "CHURN_SHIMS"
"""Variable with the folder of the state."""
Json = dict[str, Any]


def folder() -> Path:
    """The folder of the state."""
    return Path(os.environ[FOLDER])


@contextmanager
def stored(name: str) -> Iterator[Json]:
    """A part of the state, written back at the end."""
    path = folder() / f"{name}.json"
    content: Json = json.loads(path.read_text()) if path.exists() else {}
    yield content
    path.write_text(json.dumps(content))


def note(words: list[str]) -> None:
    """Note a call."""
    with (folder() / "calls").open("a") as calls:
        calls.write(" ".join([Path(sys.argv[0]).stem, *words]) + "\n")


def fail(message: str, code: int = 1) -> NoReturn:
    """End as a tool does that refuses."""
    sys.stderr.write(f"{message}\n")
    raise SystemExit(code)


def options(words: list[str], *known: str, flags: tuple[str, ...] = ()) -> tuple[Json, list[str]]:
    """Options with a value (``--name x`` or ``--name=x``) and the other words; an unknown option is refused.

    A flag is on by itself or with ``=true``; one that is off is left out.
    """
    values: Json = {}
    others = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not name.startswith("-"):
            others.append(word)
        elif name in flags:
            if value not in {"", "true", "false"}:
                fail(f'invalid argument "{value}" for "{name}" flag: strconv.ParseBool: parsing "{value}"')
            if value != "false":
                values[name] = True
        elif name not in known:
            fail(f"unknown flag: {name}")
        elif equals:
            values[name] = value
        else:
            values[name] = next(rest, None)
            if values[name] is None:
                fail(f"flag needs an argument: {name}")
    return values, others


def kubeconfig() -> Json:
    """The kubeconfig, which the tests keep as one file of JSON; kubectl reads YAML, of which that is a part."""
    path = Path(os.environ["KUBECONFIG"])
    if not path.exists():
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "",
            "contexts": [],
            "clusters": [],
            "users": [],
        }
    content: Json = json.loads(path.read_text())
    return content


def write_kubeconfig(content: Json) -> None:
    """Write the kubeconfig."""
    Path(os.environ["KUBECONFIG"]).write_text(json.dumps(content))


def add_context(name: str, server: str, *, current: bool, **credentials: Any) -> None:
    """Add a context with its cluster and user, as kind names them: all alike."""
    content = kubeconfig()
    remove_context(content, name)
    cluster = {"server": server, **credentials.pop("cluster", {})}
    content["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    content["clusters"].append({"name": name, "cluster": cluster})
    content["users"].append({"name": name, "user": credentials.pop("user", {})})
    if current:
        content["current-context"] = name
    write_kubeconfig(content)


def remove_context(content: Json, name: str) -> None:
    """Remove a context, and unset the current one if it is that."""
    for section in ("contexts", "clusters", "users"):
        content[section] = [item for item in content[section] if item["name"] != name]
    if content["current-context"] == name:
        content["current-context"] = ""


def read_yaml(path: Path) -> Json:
    """The content of a YAML file."""
    import yaml  # noqa: PLC0415 - few calls read one, and every millisecond is paid for some hundred times

    content: Json = yaml.safe_load(path.read_text())
    return content
