"""The contract: what one kind of customer looks like, as data that travels with each model version.

Every feature's name, type, unit, bounds and categories are here and nowhere else. The HTTP schema, the checks of files,
the order of a model's inputs and the bins of drift are all derived from it. A bundle carries it as canonical JSON;
people write it as YAML, which only training reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints

from app.defaults import CUSTOMER_VALUE, OFFER_COST, RETAINED_SHARE
from app.expressions import Expression
from app.feature import Description, Feature, Formula, Judged, Name, Part, Text, repeated

FORMAT: Final = 1
"""Format of the contract itself, its key ``contract``."""
MAX_FEATURES: Final = 300
MAX_SERIES: Final = 3000
"""Largest number of bins, over all features and the score: each is two series per pod in Prometheus."""
NUMBER_BINS: Final = 10
"""Most bins of a number's reference distribution."""

Features: TypeAlias = npt.NDArray[np.float32]
"""Coded customers, shape (rows, features), columns in the contract's order: the only input of an exported model."""
Scores: TypeAlias = npt.NDArray[np.float64]
"""Probabilities of churn, shape (rows,)."""


class Key(Part):
    """The customer's own key: returned with the prediction, never used by the model."""

    name: Name = "customer_id"
    aliases: tuple[Text, ...] = Field(default=(), description="Other names that the column may have in a file.")
    letters: Literal["ascii", "unicode"] = Field(
        default="ascii",
        description="'ascii': A to Z, a to z and 0 to 9. 'unicode': the letters and digits of any script.",
    )
    symbols: Annotated[str, StringConstraints(pattern=r'^[^"\\\p{Cc}\p{L}\p{N}]*$', max_length=40)] = Field(
        default="_.-", description="Allowed besides letters and digits; '_.-@+' allows e-mail addresses."
    )
    max_length: Annotated[int, Field(ge=1, le=256)] = Field(default=64, description="In characters.")
    description: Description = (
        "The caller's own key for the customer; returned with the prediction, never used by the model."
    )

    @property
    def pattern(self) -> str:
        """The regular expression of a key, alike for pydantic, RE2 and JSON Schema."""
        letters = "A-Za-z0-9" if self.letters == "ascii" else r"\p{L}\p{M}\p{N}"
        # "-" stands last, where it needs no escape.
        symbols = "".join(f"\\{c}" if c in "]^[&~" else c for c in sorted(self.symbols, key=lambda c: c == "-"))
        return f"^[{letters}{symbols}]{{1,{self.max_length}}}$"


class Label(Judged):
    """The column of the answer: who churned."""

    name: Name = "churned"
    aliases: tuple[Text, ...] = ()
    churned: tuple[Text, ...] = Field(
        default=(), description="Further texts that mean 'churned'; 1, true and yes always do, in any case."
    )
    stayed: tuple[Text, ...] = Field(
        default=(), description="Further texts that mean 'stayed'; 0, false and no always do, in any case."
    )

    def _misfits(self) -> Iterator[str]:
        if both := {text.lower() for text in self.churned} & {text.lower() for text in self.stayed}:
            yield f"{min(both)!r} cannot mean both 'churned' and 'stayed'"


class Reading(Part):
    """How the files of these customers are written; what is not given is detected, and a note says how.

    The words are those of the Table Schema standard (decimalChar, groupChar, missingValues).
    """

    encoding: Literal["utf-8", "utf-16", "cp1252", "latin-1"] | None = None
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'", ""] | None = Field(
        default=None, description="Mark between groups of three digits; '' for none."
    )
    missing: tuple[Text, ...] = Field(
        default=(), description="Further texts that stand for a blank; '', NULL, None, NaN, NA, N/A and #N/A always do."
    )
    sheet: Text | None = Field(default=None, description="The sheet of an Excel workbook; by default the first.")


class Cost(Part):
    """What an offer costs and earns; `training.config.CostModel` explains the three."""

    offer_cost: Annotated[float, Field(gt=0)] = OFFER_COST
    customer_value: Annotated[float, Field(gt=0)] = CUSTOMER_VALUE
    retained_share: Annotated[float, Field(gt=0, le=1)] = RETAINED_SHARE


class Fairness(Judged):
    """Limits of how differently a model may treat the groups of customers; `training.fairness_gate` judges by them.

    The words are those of Fairlearn's metrics. A limit that is absent is not judged.
    """

    slices: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="The slices whose groups are compared; each is one of the contract's slices."
    )
    demographic_parity_ratio_min: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Smallest share of offers in one group, divided by that in another; 0.8 is the four-fifths rule.",
    )
    equal_opportunity_difference_max: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Largest difference of true positive rates, the shares of churners who get an offer."
    )
    equalized_odds_difference_max: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Largest difference of true positive rates or of false positive rates."
    )
    undecided: Literal["pass", "refuse"] = Field(
        default="pass", description="Whether a version passes, with a warning, if there is too little data to tell."
    )

    def _misfits(self) -> Iterator[str]:
        limits = (
            self.demographic_parity_ratio_min,
            self.equal_opportunity_difference_max,
            self.equalized_odds_difference_max,
        )
        if all(limit is None for limit in limits):
            yield (
                "it has no limit: add demographic_parity_ratio_min, equal_opportunity_difference_max or "
                "equalized_odds_difference_max"
            )
        yield from (f"slices names {name!r} twice" for name in repeated(self.slices))


class Contract(Judged):
    """One kind of customer."""

    contract: Literal[1] = Field(description="Format of this file.")
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    description: Description = ""
    key: Key = Key()
    label: Label = Label()
    as_of: Text | None = Field(default=None, description="Column with the day on which a row was known.")
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=MAX_FEATURES)]
    money_at_risk: Name | None = Field(
        default=None, description="The number that is lost each month if the customer leaves."
    )
    slices: tuple[Name, ...] = Field(default=(), description="Features by which a model is evaluated in parts.")
    fairness: Fairness | None = Field(
        default=None, description="How differently a model may treat the groups of customers; without it, no gate."
    )
    cost: Cost = Cost()
    reading: Reading = Reading()
    ignored: tuple[Text, ...] = Field(default=(), description="Columns of a file that are known and not used.")
    leaks: tuple[Text, ...] = Field(
        default=(), description="Columns that can be known only after a customer churned: a file with one is refused."
    )
    example: dict[str, Any] = Field(
        default_factory=dict,
        description="One valid customer, for documents and tests. What is left out is chosen from the feature.",
    )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in the order of a model's inputs."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def by_name(self) -> Mapping[str, Feature]:
        return {feature.name: feature for feature in self.features}

    @property
    def _named(self) -> tuple[Key | Label | Feature, ...]:
        return (self.key, self.label, *self.features)

    @cached_property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """The other names that a column of a file may have, by name: of the key, the label and each feature."""
        return {column.name: column.aliases for column in self._named}

    @cached_property
    def canonical(self) -> bytes:
        """The same bytes for the same contract: JSON with sorted keys, without what is at its default."""
        document = self.model_dump(mode="json", exclude_defaults=True) | {"contract": self.contract}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.canonical).hexdigest()

    @cached_property
    def customer(self) -> dict[str, Any]:
        """The example in the contract's own order: the key, then the features.

        A feature that it leaves out and that may not be blank has its first category, or the middle of its bounds.
        """
        chosen = {f.name: f.middle for f in self.features if not f.nullable} | self.example
        return {name: chosen[name] for name in (self.key.name, *self.names) if name in chosen}

    @property
    def series(self) -> int:
        """Most bins that a model with this contract exports, over its features and its score."""
        return NUMBER_BINS + sum(len(f.categories) if f.is_category else NUMBER_BINS for f in self.features)

    def _misfits(self) -> Iterator[str]:
        numbers = {f.name for f in self.features if not f.is_category}
        yield from (f"column {name!r} stands for two things" for name in repeated(self._columns()))
        if self.series > MAX_SERIES:
            yield f"{self.series} bins of features and categories; at most {MAX_SERIES} are exported to Prometheus"
        if self.money_at_risk is not None and self.money_at_risk not in numbers:
            yield f"money_at_risk: {self.money_at_risk!r} is no feature that is a number"
        yield from (f"slices: {name!r} is no feature" for name in self.slices if name not in self.by_name)
        compared = self.fairness.slices if self.fairness else ()
        yield from (f"fairness: {name!r} is not one of the slices" for name in compared if name not in self.slices)
        for feature in self.features:
            if isinstance(feature.blank, Formula):
                yield from self._formula_misfits(feature, feature.blank.parsed)
        yield from self._example_misfits()

    def _columns(self) -> Iterator[str]:
        for column in self._named:
            yield from {column.name, *column.aliases}
        yield from self.ignored
        yield from self.leaks
        if self.as_of is not None:
            yield self.as_of

    def _formula_misfits(self, feature: Feature, formula: Expression) -> Iterator[str]:
        for name in formula.names:
            other = self.by_name.get(name)
            if other is None or other.is_category:
                yield f"{feature.name}: its formula reads {name!r}, which is no feature that is a number"
            elif other.nullable:
                yield f"{feature.name}: its formula reads {name!r}, which may be blank itself"

    def _example_misfits(self) -> Iterator[str]:
        for name in self.example:
            if name not in self.by_name and name != self.key.name:
                yield f"example: {name!r} is no feature"
        for feature in self.features:
            if feature.name not in self.example:
                continue
            value = self.example[feature.name]
            if not (feature.nullable if value is None else feature.fits(value)):
                yield f"example: {feature.name} is {value!r}; expected {feature.expected}"
