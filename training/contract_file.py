"""Reads a contract that people wrote, as YAML 1.2."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.contract import Contract


class ContractError(Exception):
    """A contract that cannot be used; the message lists everything that is wrong with it."""


def read(path: Path) -> Contract:
    """Read and check a contract.

    Raises:
        ContractError: the file cannot be read, is no YAML, or does not fit.
    """
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
        return Contract.model_validate_json(json.dumps(document))
    except (OSError, YAMLError, ValidationError) as error:
        raise ContractError(f"{path}: {error}") from error
