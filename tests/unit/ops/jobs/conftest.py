"""The secrets of a stack, for the tests of their rotation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.rotation import World, secrets_of_a_stack


@pytest.fixture
def world() -> Iterator[World]:
    with secrets_of_a_stack() as opened:
        yield opened
