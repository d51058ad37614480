"""What a person reads on MLflow's pages of the registered model and of its versions."""

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
"""Characters that MLflow's tables hold of a description."""
MOVES_SHOWN: Final = 10
_REASON_MAX: Final = 100
"""Characters of a reason that fit into its table; the ledger has all of it."""

_INTRODUCTION: Final = (
    "The probability that a customer churns, for deciding who gets a retention offer. The API serves the version with "
    "the alias `production`."
)
_ALIASES: Final = "## Aliases"
_SECTIONS: Final = ("Data", "Figures on the holdout", "Gates", "Warnings")
"""Of the model card, those that a version's description repeats."""


@contextmanager
def only_logged(doing: str) -> Iterator[None]:
    """Log what MLflow refuses, in one line: what only people read is no reason for a training or a move to fail."""
    try:
        yield
    except MlflowException as error:
        log.warning("cannot %s: %s", doing, " ".join(str(error).split())[:300])


def describe(client: MlflowClient, model_name: str) -> None:
    """Write the registered model's description anew: the present aliases and the last moves.

    What a person wrote above the heading of the aliases stays. Where MLflow refuses it, that is only logged.
    """
    with only_logged(f"describe model {model_name!r} in MLflow"):
        model = client.get_registered_model(model_name)
        text = of_model(model_name, str(model.description or ""), dict(model.aliases), ledger.read(dict(model.tags)))
        client.update_registered_model(model_name, description=text)


def of_model(model_name: str, present: str, aliases: dict[str, str], moves: list[Move]) -> str:
    """The description that follows ``present``; of ``moves``, oldest first, it has the last ten, the newest first."""
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
    """A version's description: the summary of the model card that its run has as a description.

    Returns:
        None where the run has none, or where MLflow does not give it, which is only logged.
    """
    card: str | None = None
    with only_logged(f"read the model card of run {run_id} from MLflow"):
        card = client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE)
    return summary(card) if card else None


def summary(card: str) -> str:
    """The model card's first paragraph, which MLflow shows in its table of versions, and its sections on evidence."""
    head, *sections = re.split(r"^## ", card, flags=re.MULTILINE)
    paragraphs = [part for part in head.split("\n\n") if part.strip() and not part.startswith("# ")]
    chosen = [f"## {section.strip()}" for section in sections if section.partition("\n")[0].strip() in _SECTIONS]
    return shortened("\n\n".join([*(part.strip() for part in paragraphs[:1]), *chosen]))


def shortened(text: str) -> str:
    """At most as long as MLflow keeps, cut at the end of a line."""
    if len(text) <= LENGTH_MAX:
        return text
    return text[: LENGTH_MAX - 2].rpartition("\n")[0] + "\n…"
