"""Configuration of the models that the cluster trains: where the customers of each are, and what they look like."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from app.names import MODEL_NAME
from infra.config_types import Cron, Section

ROOT: Final = Path(__file__).parents[1]
"""The checkout: paths of contracts start here."""
BUILT_IN: Final = ""
"""Instead of a contract's path: the contract of the public Telco data, which training has without a file."""
MAX_CONTRACT_BYTES: Final = 512 * 1024
"""Of a contract's file, which goes into a ConfigMap; etcd takes 1 MiB at most."""
_TRAINED: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
"""CronJobs bear the name between `training-` and `-on-demand`, and Kubernetes gives them 52 characters."""
_ROLES: Final = re.compile(r"(.+-)?on-(demand|drift)")
"""Names that would make one model's schedule bear the name of another's runs on demand or on drift."""


def contract_text(path: str) -> str:
    """Read the file of a contract; ``path`` starts at the checkout.

    Training checks what is in it: its parser is no part of the Pulumi program.

    Raises:
        ValueError: there is no such file in the checkout, or it is too large or not UTF-8.
    """
    file = (ROOT / path).resolve()
    if not file.is_relative_to(ROOT.resolve()) or not file.is_file():
        raise ValueError("write the path of a contract's file in this checkout, such as contracts/bank.yaml")
    content = file.read_bytes()
    if len(content) > MAX_CONTRACT_BYTES:
        raise ValueError(f"the file has {len(content):,} bytes; a contract has at most {MAX_CONTRACT_BYTES:,}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not UTF-8 ({error}): save it as UTF-8") from None


def _contract_path(path: str) -> str:
    if path != BUILT_IN:
        contract_text(path)
    return path


def _trained(models: dict[str, TrainedModel]) -> dict[str, TrainedModel]:
    for name in models:
        if name == MODEL_NAME:
            raise ValueError(f"{name!r} is what the section itself trains: describe it there, and only others here")
        if not _TRAINED.fullmatch(name) or _ROLES.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of CronJobs: register the model under up to 32 small letters, digits and "
                "'-' that do not end in 'on-demand' or 'on-drift'"
            )
    return models


ContractPath = Annotated[
    str, AfterValidator(_contract_path), Field(description="Path of the contract in this checkout; empty for Telco's.")
]
Source = Annotated[
    str,
    Field(
        description="CSV or Parquet, also s3://, {data} is the stack's bucket; `generated` makes customers.",
        min_length=1,
    ),
]


class TrainedModel(Section):
    """One model that the cluster trains."""

    source: Source
    contract: ContractPath = BUILT_IN
    schedule: Cron


TrainedModels = Annotated[dict[str, TrainedModel], AfterValidator(_trained)]
