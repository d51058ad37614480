"""Recordings that test processes share: found again for the same program and configuration, and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import recording_cache
from support.recorder import config, recorded
from support.recording_cache import cached

from infra.config import ConfigError
from ops.stack.recording import Recording


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Recorder:
    """Counts how often a recording is made."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Recording:
        self.count += 1
        return Recording(stack="dev", outputs={"number": self.count})


def test_the_same_configuration_is_recorded_once() -> None:
    recorder, settings = Recorder(), config("dev")
    first, second = cached("dev", settings, recorder), cached("dev", dict(reversed(settings.items())), recorder)
    assert (first, recorder.count) == (second, 1)


def test_another_configuration_stack_or_program_is_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, settings = Recorder(), config("dev")
    cached("dev", settings, recorder)
    cached("dev", {**settings, "churn:state": {"protect": True}}, recorder)
    cached("staging", settings, recorder)
    monkeypatch.setattr(recording_cache, "program_hash", lambda: "another")
    cached("dev", settings, recorder)
    assert recorder.count == 4


def test_a_program_that_fails_leaves_no_recording() -> None:
    def fail() -> Recording:
        raise ConfigError("no such key")

    with pytest.raises(ConfigError):
        cached("dev", {}, fail)
    recorder = Recorder()
    cached("dev", {}, recorder)
    assert recorder.count == 1


def test_a_shared_recording_is_the_one_that_was_made() -> None:
    whole = recorded("dev")
    assert cached("dev", config("dev"), lambda: whole) == whole


def test_recordings_of_old_programs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(recording_cache.MOST_PROGRAMS + 3):
        monkeypatch.setattr(recording_cache, "program_hash", lambda name=str(number): name)
        cached("dev", {}, Recorder())
    left = {folder.name for folder in (tmp_path / "churn-tools" / "recordings").iterdir()}
    assert len(left) == recording_cache.MOST_PROGRAMS
    assert str(recording_cache.MOST_PROGRAMS + 2) in left
