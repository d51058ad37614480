"""The built-in contract: of the public IBM Telco customers, for whom every bundle of format 1 was made."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from app.contract import Contract

SCHEMA_VERSION: Final = 1
"""What a bundle of format 1 says of its customers: that they are these."""


@cache
def telco() -> Contract:
    """The contract, parsed once, when it is first asked for."""
    return Contract.model_validate_json(resources.files("app").joinpath("telco.json").read_bytes())
