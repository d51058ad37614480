"""Descriptions of the registered model and of its versions, for people who read MLflow's pages."""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from training import ledger
from training.ledger import Move
from training.markdown import cell, for_mlflow, table

log = logging.getLogger(__name__)

LENGTH_MAX: Final = 5000
"""Longest description that MLflow's tables hold, in characters."""
MOVES_SHOWN: Final = 10
_REASON_MAX: Final = 100
"""Characters of a reason that fit into the table; the ledger has the whole reason."""

_INTRODUCTION: Final = (
    "The probability that a customer churns, for deciding who gets a retention offer. The API serves the version with "
    "the alias `production`."
)
_ALIASES: Final = "## Aliases"
_SECTIONS: Final = ("Data", "Figures on the holdout", "Gates", "Warnings")
"""Sections of the model card that a version's description repeats."""


@contextmanager
def only_logged(doing: str) -> Iterator[None]:
    """Only log what MLflow refuses: a text for people is no reason for a training run or a move to fail."""
    try:
        yield
    except MlflowException as error:
        log.warning("cannot %s: %s", doing, " ".join(str(error).split())[:300])


def describe(client: MlflowClient, model_name: str) -> None:
    """Rewrite the registered model's description with the present aliases and the last moves.

    Text that a person wrote above the heading of the aliases stays. If MLflow refuses the description, that is only
    logged.
    """
    with only_logged(f"describe model {model_name!r} in MLflow"):
        model = client.get_registered_model(model_name)
        text = of_model(model_name, str(model.description or ""), dict(model.aliases), ledger.read(dict(model.tags)))
        client.update_registered_model(model_name, description=text)


def of_model(model_name: str, present: str, aliases: dict[str, str], moves: list[Move]) -> str:
    """The description that replaces ``present``, with the last ten of ``moves`` (oldest first), the newest on top."""
    introduction = present.partition(_ALIASES)[0].strip() or _INTRODUCTION

    def link(version: str | None) -> str:
        return f"[{version}](#/models/{model_name}/versions/{version})" if version else "-"

    now = [(f"`{alias}`", link(str(version))) for alias, version in sorted(aliases.items())]
    last = [
        (
            f"{move.at:%Y-%m-%d %H:%M}",
            cell(move.actor),
            move.action,
            f"`{move.alias}`",
            link(move.from_version),
            link(move.to_version),
            cell(textwrap.shorten(move.why, _REASON_MAX, placeholder="…")),
        )
        for move in reversed(moves[-MOVES_SHOWN:])
    ]
    head = ("when (UTC)", "who", "what", "alias", "from version", "to version", "why")
    parts = [_ALIASES, table(("alias", "version"), now) if now else "None."]
    if last:
        parts += ["## Last moves", table(head, last)]
    return shortened(introduction + "\n\n" + for_mlflow("\n\n".join(parts)))


def of_version(client: MlflowClient, run_id: str) -> str | None:
    """A version's description: a summary of the model card that describes its run.

    Returns:
        None if the run has no card, or if MLflow does not return it, which is only logged.
    """
    card: str | None = None
    with only_logged(f"read the model card of run {run_id} from MLflow"):
        card = client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE)
    return summary(card) if card else None


def summary(card: str) -> str:
    """Shorten a model card to its first paragraph, which MLflow shows in its table of versions, and the evidence."""
    head, *sections = re.split(r"^## ", card, flags=re.MULTILINE)
    paragraphs = [part for part in head.split("\n\n") if part.strip() and not part.startswith("# ")]
    chosen = [f"## {section.strip()}" for section in sections if section.partition("\n")[0].strip() in _SECTIONS]
    return shortened("\n\n".join([*(part.strip() for part in paragraphs[:1]), *chosen]))


def shortened(text: str) -> str:
    """Cut a text at the end of a line, to the length that MLflow stores."""
    if len(text) <= LENGTH_MAX:
        return text
    return text[: LENGTH_MAX - 2].rpartition("\n")[0] + "\n…"
