"""The parts of the Open Data Contract Standard that are read here, with their shape; others may have any."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class _Custom(_Part):
    property: str
    value: Any = None


class _Arguments(_Part):
    valid_values: list[Any] | None = Field(default=None, alias="validValues")


class _Quality(_Part):
    arguments: _Arguments | None = None


class _Options(_Part):
    minimum: StrictInt | StrictFloat | None = None
    maximum: StrictInt | StrictFloat | None = None
    exclusive_minimum: StrictInt | StrictFloat | None = Field(default=None, alias="exclusiveMinimum")
    exclusive_maximum: StrictInt | StrictFloat | None = Field(default=None, alias="exclusiveMaximum")


class _Property(_Part):
    name: str
    logical_type: str | None = Field(default=None, alias="logicalType")
    physical_type: str | None = Field(default=None, alias="physicalType")
    description: str | None = None
    primary_key: StrictBool | None = Field(default=None, alias="primaryKey")
    required: StrictBool | None = None
    options: _Options | None = Field(default=None, alias="logicalTypeOptions")
    examples: list[Any] | None = None
    enum: list[Any] | None = None
    valid_values: list[Any] | None = Field(default=None, alias="validValues")
    quality: list[_Quality] | None = None
    custom: list[_Custom] | None = Field(default=None, alias="customProperties")


class _Object(_Part):
    name: str
    properties: list[_Property] | None = None


class Shape(_Part):
    """A data contract."""

    name: str | None = None
    objects: list[_Object] | None = Field(default=None, alias="schema")
    custom: list[_Custom] | None = Field(default=None, alias="customProperties")
