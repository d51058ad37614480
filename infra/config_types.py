"""Types of the values in the configuration."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.names import check_models
from app.origins import is_origin

_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MIRROR: Final = re.compile(
    r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?(/[a-z0-9]+([._-][a-z0-9]+)*)*|localhost:[0-9]{1,5}"
)
_CRON_FIELDS: Final = 5


def _quantity(text: str) -> str:
    if not _QUANTITY.fullmatch(text):
        raise ValueError("write a Kubernetes quantity such as 500m, 2, 512Mi or 1Gi")
    return text


def _cron(text: str) -> str:
    if len(text.split()) != _CRON_FIELDS:
        raise ValueError("write five fields: minute, hour, day of month, month, day of week")
    return text


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text) or text == "latest":
        raise ValueError("write the tag of one build, for example its version or commit; never 'latest'")
    return text


def _origin(text: str) -> str:
    if not is_origin(text):
        raise ValueError(
            "write the origin of a web page such as https://shop.example or https://shop.example:8443: lower case, no "
            "path, no wildcard, no default port"
        )
    return text


def _models(names: tuple[str, ...]) -> tuple[str, ...]:
    check_models(names)
    return names


def _mirror(text: str) -> str:
    if text and not _MIRROR.fullmatch(text):
        raise ValueError("write a registry with its host, such as registry.example.com:5000/cache; or nothing")
    return text


def _cidr(text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"write an IPv4 network such as 10.20.0.0/16 ({error})") from None
    return str(network)


Tag = Annotated[str, AfterValidator(_tag)]
Mirror = Annotated[str, AfterValidator(_mirror)]
Quantity = Annotated[str, AfterValidator(_quantity)]
Cron = Annotated[str, AfterValidator(_cron)]
Origin = Annotated[str, AfterValidator(_origin)]
Models = Annotated[tuple[str, ...], AfterValidator(_models)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Positive = Annotated[int, Field(ge=1)]
Replicas = Annotated[int, Field(ge=1, le=100)]
Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=200)]


class Section(BaseModel):
    """A section of the configuration: immutable, and closed, so that a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
