"""What the stacks give to AWS, as AWS' own interface takes it: for tests by moto."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from moto import mock_aws

SPELLED_OTHERWISE: Final = {
    "id": "ID",
    "kmsMasterKeyId": "KMSMasterKeyID",
    "sseAlgorithm": "SSEAlgorithm",
    "cloudwatchMetricsEnabled": "CloudWatchMetricsEnabled",
}
"""What AWS does not merely write with a capital."""


def as_api(value: Any) -> Any:
    """Inputs of a Pulumi resource in the spelling of AWS' interface."""
    if isinstance(value, dict):
        return {SPELLED_OTHERWISE.get(key, key[0].upper() + key[1:]): as_api(item) for key, item in value.items()}
    return [as_api(item) for item in value] if isinstance(value, list) else value


@contextmanager
def account() -> Iterator[None]:
    """An account of moto's, with credentials that are nobody's."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
