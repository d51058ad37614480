"""Inputs of recorded AWS resources, in the form that AWS' own API takes, for tests with moto."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3
import pytest
from moto import mock_aws

SPELLED_OTHERWISE: Final = {
    "id": "ID",
    "kmsMasterKeyId": "KMSMasterKeyID",
    "sseAlgorithm": "SSEAlgorithm",
    "cloudwatchMetricsEnabled": "CloudWatchMetricsEnabled",
}
"""Names that AWS spells otherwise than with a capital first letter."""


def as_api(value: Any) -> Any:
    """Inputs of a Pulumi resource, spelled as in AWS' API."""
    if isinstance(value, dict):
        return {SPELLED_OTHERWISE.get(key, key[0].upper() + key[1:]): as_api(item) for key, item in value.items()}
    return [as_api(item) for item in value] if isinstance(value, list) else value


@contextmanager
def account(region: str = "us-east-1", *, managed_policies: bool = False) -> Iterator[Any]:
    """A session of boto3 in an empty account, played by moto; AWS' own policies take it a second to load.

    The default region is not the stacks', so that a program that forgets its region does not find what is there.
    """
    config: Any = {"iam": {"load_aws_managed_policies": True}} if managed_policies else {}
    with pytest.MonkeyPatch.context() as patch, mock_aws(config=config):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield boto3.Session(region_name=region)
