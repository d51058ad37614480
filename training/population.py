"""Synthetic customers with known truth: all 19 features, a churn label, and the probability each label came from.

Shares and prices follow the public IBM Telco data; the logit of churn, :data:`COEFFICIENTS`, was calibrated to the same
churn rate (about 26.5 %) and to a Bayes-optimal AUC near 0.84. Features it does not name carry
no signal of their own.

Randomness: customer i belongs to chunk i // 250,000, chunk c has the PCG64 stream of ``SeedSequence(seed,
spawn_key=(c,))``, and each customer takes one uniform number for each name in :data:`DRAWS`, in that order, turned into
values by inverse distribution functions. So the first rows do not depend on how many follow, a knob leaves all other
draws alone, and nothing depends on a library's samplers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.schemas import telco
from training.truth import GeneratorConfig, Probabilities

CHUNK_ROWS: Final = 250_000

DRAWS: Final = (
    "gender", "senior_citizen", "partner", "dependents", "contract", "tenure_months", "internet_service",
    "phone_service", "multiple_lines", "online_security", "online_backup", "device_protection", "tech_support",
    "streaming_tv", "streaming_movies", "paperless_billing", "payment_method", "price", "history", "blank",
    "churn", "delay",
)  # fmt: skip

COEFFICIENTS: Final[Mapping[str, float]] = {
    "intercept": -0.316,  # month-to-month, DSL, tenure 0, charges of 65 and nothing of what follows
    "one_year": -1.25,  # contract
    "two_year": -2.30,  # contract
    "fibre": 0.75,  # internet_service
    "no_internet": -0.85,  # internet_service
    "tenure": -0.030,  # each month of tenure_months
    "charges": 0.006,  # each unit of monthly_charges above CENTRAL_CHARGES
    "online_security": -0.45,  # online_security is Yes
    "tech_support": -0.40,  # tech_support is Yes
    "electronic_check": 0.40,  # payment_method
    "senior": 0.25,  # senior_citizen is 1
    "paperless": 0.30,  # paperless_billing is Yes
    "dependents": -0.20,  # dependents is Yes
    "new_monthly": 0.45,  # month-to-month with tenure_months below NEW_MONTHS: an interaction
}
"""Terms of the logit, and the customers that each applies to."""
CENTRAL_CHARGES: Final = 65.0
NEW_MONTHS: Final = 6

SHARES: Final[Mapping[str, float]] = {
    "female": 0.495,
    "senior": 0.16,
    "partner": 0.48,
    "dependents_with_partner": 0.53,
    "dependents_alone": 0.09,
    "monthly": 0.55,
    "one_year": 0.21,
    "no_internet": 0.22 / 0.56,  # of those without fibre
    "no_phone": 0.28,  # of those with DSL
    "multiple_lines": 0.47,  # of those with a phone
}
PAPERLESS_SHARES: Final = (0.29, 0.56, 0.77)
"""By internet service: none, DSL, fibre; the same holds for the next two."""
ELECTRONIC_CHECK_SHARES: Final = (0.08, 0.28, 0.53)
ADD_ON_SHARES: Final[Mapping[str, float]] = {
    "online_security": 0.37,
    "online_backup": 0.44,
    "device_protection": 0.44,
    "tech_support": 0.37,
    "streaming_tv": 0.49,
    "streaming_movies": 0.49,
}
"""Share of each add-on among customers with internet."""
PRICES: Final[Mapping[str, float]] = {
    "phone": 20.0, "DSL": 25.0, "Fiber optic": 50.0, "multiple_lines": 5.0, "online_security": 5.0,
    "online_backup": 5.0, "device_protection": 5.0, "tech_support": 5.0, "streaming_tv": 10.0, "streaming_movies": 10.0,
}  # fmt: skip
"""Monthly price of each part of a bill."""

Codes = npt.NDArray[np.int8]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Generated customers, as arrays of shape (rows,).

    ``codes`` has the category codes (indices into the feature's categories) and ``numbers`` the numbers by feature
    name; a blank total is NaN. ``probability`` is the true one, ``churned`` the outcome, ``recorded`` the file's label.
    """

    first: int
    codes: dict[str, Codes]
    numbers: dict[str, Numbers]
    probability: Probabilities
    churned: Codes
    recorded: Codes


def coefficients(config: GeneratorConfig) -> dict[str, float]:
    """Coefficients of the logit, with the knobs applied."""
    shifted = dict(COEFFICIENTS)
    shifted["intercept"] += config.prior_shift
    shifted["tenure"] += config.tenure_coefficient_change
    return shifted


def chunks(config: GeneratorConfig) -> Iterator[Chunk]:
    """Generate the customers in chunks of at most :data:`CHUNK_ROWS`."""
    for number, first in enumerate(range(0, config.rows, CHUNK_ROWS)):
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(config.seed, spawn_key=(number,))))
        # Drawn row by row, so that a shorter last chunk begins like a full one.
        uniform = stream.random((min(CHUNK_ROWS, config.rows - first), len(DRAWS)))
        yield _chunk(config, first, dict(zip(DRAWS, np.ascontiguousarray(uniform.T), strict=True)))


def _chunk(config: GeneratorConfig, first: int, uniform: Mapping[str, Numbers]) -> Chunk:
    codes = _categories(config, uniform)
    numbers = _numbers(config, uniform, codes)
    logit = _logit(coefficients(config), codes, numbers)
    probability = 1.0 / (1.0 + np.exp(-logit))
    churned = uniform["churn"] < probability
    recorded = churned & (uniform["delay"] >= config.label_delay_share)
    return Chunk(
        first=first,
        codes=codes,
        numbers=numbers,
        probability=probability,
        churned=churned.astype(np.int8),
        recorded=recorded.astype(np.int8),
    )


def _pick(uniform: Numbers, *shares: float) -> Codes:
    """Draw codes 0, 1, … with these shares; the last code takes the rest."""
    return np.searchsorted(np.cumsum(shares), uniform, side="right").astype(np.int8)


def _coded(feature: str, value: str) -> np.int8:
    return np.int8(telco().by_name[feature].codes[value])


def _categories(config: GeneratorConfig, uniform: Mapping[str, Numbers]) -> dict[str, Codes]:
    """Draw every category; services and payment are related as in the IBM data."""
    no_internet = (1 - config.fibre_share) * SHARES["no_internet"]
    internet = _pick(uniform["internet_service"], no_internet, 1 - config.fibre_share - no_internet)
    online = internet != _coded("internet_service", "No")
    dsl = internet == _coded("internet_service", "DSL")
    # Every line includes a phone, except some of the DSL lines.
    phone = ~dsl | (uniform["phone_service"] >= SHARES["no_phone"])
    partner = uniform["partner"] < SHARES["partner"]
    codes = {
        "gender": _pick(uniform["gender"], SHARES["female"]),
        "partner": partner.astype(np.int8),
        "dependents": (
            uniform["dependents"] < np.where(partner, SHARES["dependents_with_partner"], SHARES["dependents_alone"])
        ).astype(np.int8),
        "contract": _pick(uniform["contract"], SHARES["monthly"], SHARES["one_year"]),
        "internet_service": internet,
        "phone_service": phone.astype(np.int8),
        "multiple_lines": np.where(
            phone, uniform["multiple_lines"] < SHARES["multiple_lines"], _coded("multiple_lines", "No phone service")
        ),
        "paperless_billing": (uniform["paperless_billing"] < np.array(PAPERLESS_SHARES)[internet]).astype(np.int8),
    }
    for name, share in ADD_ON_SHARES.items():
        codes[name] = np.where(online, uniform[name] < share, _coded(name, "No internet service"))
    # Electronic check first; the other three methods share the rest evenly.
    check = np.array(ELECTRONIC_CHECK_SHARES)[internet]
    other = 1 + np.minimum(((uniform["payment_method"] - check) / (1 - check) * 3).astype(np.int8), 2)
    codes["payment_method"] = np.where(uniform["payment_method"] < check, 0, other)
    return {name: np.asarray(code, dtype=np.int8) for name, code in codes.items()}


def _tenure_distribution(contract: int, scale: float = 11.0, longest: int = 72) -> Numbers:
    """P(tenure <= k) for k = 0 … longest: gamma density of shape 1.3 + 1.6 contract at k + 1/2, the tail at the end."""
    middle = np.arange(600) + 0.5
    density = middle ** (0.3 + 1.6 * contract) * np.exp(-middle / scale)
    cumulated = np.cumsum(density / density.sum())[: longest + 1]
    cumulated[-1] = 1.0
    return cumulated


def _numbers(config: GeneratorConfig, uniform: Mapping[str, Numbers], codes: Mapping[str, Codes]) -> dict[str, Numbers]:
    tenure = np.empty(len(uniform["tenure_months"]))
    for contract in range(3):
        of_contract = codes["contract"] == contract
        tenure[of_contract] = np.searchsorted(
            _tenure_distribution(contract), uniform["tenure_months"][of_contract], side="right"
        )
    charges = PRICES["phone"] * codes["phone_service"]
    charges = charges + np.array([0.0, PRICES["DSL"], PRICES["Fiber optic"]])[codes["internet_service"]]
    for name in ("multiple_lines", *ADD_ON_SHARES):
        charges = charges + PRICES[name] * (codes[name] == _coded(name, "Yes"))
    monthly = np.round(charges + 3.0 * (uniform["price"] - 0.5), 2)
    # Past prices differed by up to 5 % from today's.
    total = np.round(tenure * monthly * (1 + 0.1 * (uniform["history"] - 0.5)), 2)
    blank = (tenure == 0) | (uniform["blank"] < config.missing_total_share)
    return {
        "senior_citizen": (uniform["senior_citizen"] < SHARES["senior"]).astype(np.float64),
        "tenure_months": tenure,
        "monthly_charges": monthly,
        "total_charges": np.where(blank, np.nan, total),
    }


def _logit(beta: Mapping[str, float], codes: Mapping[str, Codes], numbers: Mapping[str, Numbers]) -> Numbers:
    def is_(feature: str, value: str) -> Numbers:
        return np.asarray(codes[feature] == _coded(feature, value), dtype=np.float64)

    monthly_contract = is_("contract", "Month-to-month")
    return (
        beta["intercept"]
        + beta["one_year"] * is_("contract", "One year")
        + beta["two_year"] * is_("contract", "Two year")
        + beta["fibre"] * is_("internet_service", "Fiber optic")
        + beta["no_internet"] * is_("internet_service", "No")
        + beta["tenure"] * numbers["tenure_months"]
        + beta["charges"] * (numbers["monthly_charges"] - CENTRAL_CHARGES)
        + beta["online_security"] * is_("online_security", "Yes")
        + beta["tech_support"] * is_("tech_support", "Yes")
        + beta["electronic_check"] * is_("payment_method", "Electronic check")
        + beta["senior"] * numbers["senior_citizen"]
        + beta["paperless"] * is_("paperless_billing", "Yes")
        + beta["dependents"] * is_("dependents", "Yes")
        + beta["new_monthly"] * monthly_contract * (numbers["tenure_months"] < NEW_MONTHS)
    )
