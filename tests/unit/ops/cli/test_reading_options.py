"""The options that say how a file is written."""

from __future__ import annotations

import pytest
import typer

from app.contract import Reading
from ops.cli.options import delimiter, reading


@pytest.mark.parametrize(
    ("text", "mark"), [(",", ","), (";", ";"), ("|", "|"), ("tab", "\t"), ("TAB", "\t"), (r"\t", "\t")]
)
def test_a_delimiter_may_be_a_word(text: str, mark: str) -> None:
    assert delimiter(text) == mark


@pytest.mark.parametrize("text", ["", ":", ",,", "comma"])
def test_another_delimiter_is_refused_with_the_choice(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"give , ; \| or tab"):
        delimiter(text)


def test_only_what_was_said_comes_before_the_contract() -> None:
    assert reading(encoding=None, decimal=None) is None
    options = reading(encoding=None, decimal=",", thousands="", delimiter="\t", sheet="May")
    assert options == Reading(decimal=",", thousands="", delimiter="\t", sheet="May")
    assert options is not None
    assert options.model_fields_set == {"decimal", "thousands", "delimiter", "sheet"}
