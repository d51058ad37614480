"""A feature of a contract: its name, type, unit and bounds or categories, and what a blank counts as."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from app.expressions import Expression, parse

MAX_CATEGORIES: Final = 100
"""Largest number of categories of one feature; a code must also fit into a signed byte."""
MAX_EXACT: Final = 2**53
"""Largest bound of a number: up to here every integer is exact in JSON and in float64."""

_PLAIN: Final = r'^[^"\\\p{Cc}\p{Zl}\p{Zp}]+$'
"""No quote, backslash or control character: keys that occur twice in a body are found by counting its quotes."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Name of a feature: a key in JSON, a column in files and in a formula, a label in metrics."""
Text = Annotated[str, StringConstraints(pattern=_PLAIN, max_length=100)]
"""A category, or another spelling of one: text without quotes, backslashes or control characters."""
Description = Annotated[str, StringConstraints(max_length=500)]
Bound = Annotated[float, Field(ge=-MAX_EXACT, le=MAX_EXACT)]
Value: TypeAlias = bool | float | str
"""A category, a number, or a boolean, which may be written as 0 and 1 too."""


class Misfits(ValueError):  # noqa: N818 - several at once, not one error
    """What is wrong with a part of a contract, each problem by itself."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class Part(BaseModel):
    """Base of everything in a contract: immutable, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Judged(Part):
    """A part whose keys must also fit together."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problems := tuple(self._misfits()):
            raise Misfits(problems)
        return self

    def _misfits(self) -> Iterator[str]:
        """What is wrong with the part as a whole, once each key fits by itself."""
        raise NotImplementedError


class Constant(Part):
    """A blank counts as this value."""

    constant: Value


class Formula(Part):
    """A blank counts as the result of a formula over other features; without a finite result, as the minimum."""

    expression: str

    @field_validator("expression")
    @classmethod
    def _parses(cls, text: str) -> str:
        parse(text)
        return text

    @cached_property
    def parsed(self) -> Expression:
        return parse(self.expression)


class Feature(Judged):
    """One model input.

    A category is coded as its index in ``categories``, a boolean as 0 or 1. Bounds are inclusive. Only a feature with
    ``blank`` may be blank.
    """

    name: Name
    type: Literal["category", "integer", "number", "boolean"]
    description: Description = ""
    unit: Annotated[str, StringConstraints(max_length=60)] | None = None
    categories: tuple[Text, ...] = ()
    minimum: Bound | None = None
    maximum: Bound | None = None
    blank: Constant | Formula | Literal["median"] | None = Field(
        default=None,
        description="What a blank counts as; without it a blank is refused. 'median' is the one of the training rows.",
    )
    aliases: tuple[Text, ...] = Field(default=(), description="Other names that the column may have in a file.")
    spellings: dict[Text, Value] = Field(
        default_factory=dict, description="Other spellings of a value in a file, with the value that each means."
    )

    @property
    def is_category(self) -> bool:
        return self.type == "category"

    @property
    def integer(self) -> bool:
        """Whether only whole numbers are allowed."""
        return self.type in {"integer", "boolean"}

    @property
    def nullable(self) -> bool:
        return self.blank is not None

    @property
    def lowest(self) -> float:
        """The minimum of a number; 0 for a boolean and for the codes of a category."""
        return 0.0 if self.minimum is None else self.minimum

    @property
    def highest(self) -> float:
        """The maximum of a number; 1 for a boolean, and the last code of a category."""
        if self.is_category:
            return float(len(self.categories) - 1)
        return 1.0 if self.maximum is None else self.maximum

    @property
    def middle(self) -> Value:
        """Some valid value: the first category, the middle of a number's bounds, and false for a boolean."""
        if self.is_category:
            return self.categories[0]
        if self.type == "boolean":
            return False
        middle = (self.lowest + self.highest) / 2
        return math.floor(middle) if self.integer else middle

    @property
    def expected(self) -> str:
        """What a value must be, in words for an error message."""
        if self.is_category:
            words = "one of " + ", ".join(repr(c) for c in self.categories)
        elif self.type == "boolean":
            words = "true or false"
        else:
            kind = "a whole number" if self.integer else "a number"
            words = f"{kind} from {plain(self.lowest)} to {plain(self.highest)}"
        return words + (", or blank" if self.nullable else "")

    @cached_property
    def codes(self) -> dict[str, float]:
        """Code of each category; empty for a number."""
        return {category: float(code) for code, category in enumerate(self.categories)}

    def code(self, value: Value) -> float:
        """The code of one valid value."""
        return self.codes[str(value)] if self.is_category else float(value)

    def fits(self, value: object) -> bool:
        """Whether this is a valid value, apart from a blank."""
        if self.is_category:
            return value in self.categories
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return self.type == "boolean" and isinstance(value, bool)
        return self.lowest <= value <= self.highest and (not self.integer or value == math.floor(value))

    def _misfits(self) -> Iterator[str]:
        yield from self._category_misfits() if self.is_category else self._number_misfits()
        if isinstance(self.blank, Constant) and not self.fits(self.blank.constant):
            yield f"a blank cannot count as {self.blank.constant!r}: expected {self.expected}"
        for text, value in self.spellings.items():
            if not self.fits(value):
                yield f"spelling {text!r} means {value!r}: expected {self.expected}"
            elif text in self.categories and text != value:
                yield f"{text!r} is a category and cannot also be a spelling of {value!r}"

    def _category_misfits(self) -> Iterator[str]:
        if not 2 <= len(self.categories) <= MAX_CATEGORIES:  # noqa: PLR2004 - one category tells nothing
            yield f"a category has 2 to {MAX_CATEGORIES} categories, not {len(self.categories)}"
        yield from (f"category {text!r} occurs twice" for text in repeated(self.categories))
        if self.minimum is not None or self.maximum is not None:
            yield "minimum and maximum are for numbers, not for a category"
        if self.blank is not None and not isinstance(self.blank, Constant):
            yield "a blank category can only count as a constant"

    def _number_misfits(self) -> Iterator[str]:
        if self.categories:
            yield f"categories are for 'type: category', not for {self.type}"
        if self.type == "boolean":
            if self.minimum is not None or self.maximum is not None:
                yield "minimum and maximum are for numbers, not for a boolean"
        elif self.minimum is None or self.maximum is None:
            yield f"type {self.type} needs minimum and maximum"
        elif self.minimum >= self.maximum:
            yield f"minimum {self.minimum:g} is not below maximum {self.maximum:g}"
        elif self.integer and not (self.minimum.is_integer() and self.maximum.is_integer()):
            yield "minimum and maximum of an integer are whole numbers"


def repeated(texts: Iterable[str]) -> list[str]:
    return [text for text, count in Counter(texts).items() if count > 1]


def plain(number: float) -> str:
    """A bound in words: without exponent or needless decimals."""
    return f"{number:.0f}" if number == math.floor(number) else repr(number)
