"""Retention: 400 days of nights, some of them bad, under clocks of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from support.backups import START, artifacts_manifest, dump_manifest

from ops.backup.manifest import ArtifactsManifest, Broken, PostgresManifest
from ops.backup.retention import expired

DAYS = 400
BROKEN = [Broken(model="churn", version=1, why="missing")]
Clock = Callable[[int], datetime]


def steady(day: int) -> datetime:
    return START + timedelta(days=day)


def ahead_for_a_week(day: int) -> datetime:
    return steady(day) + (timedelta(days=365) if 100 <= day < 107 else timedelta(0))


def back_for_a_week(day: int) -> datetime:
    return steady(day) - (timedelta(days=365) if 100 <= day < 107 else timedelta(0))


def ahead_for_good(day: int) -> datetime:
    return steady(day) + (timedelta(days=900) if day >= 100 else timedelta(0))


def vienna(day: int) -> datetime:
    """Two o'clock in Vienna, which does not exist in one night and exists twice in another."""
    naive = START.replace(tzinfo=None, hour=2, minute=30) + timedelta(days=day)
    return naive.replace(tzinfo=ZoneInfo("Europe/Vienna"))


class Nights:
    """Backups night by night, and those that retention leaves. Dumps have even sequences, artifacts odd ones."""

    def __init__(self, clock: Clock, keep_days: int, failing: float = 0.0) -> None:
        self.clock = clock
        self.keep_days = keep_days
        self.drawn = random.Random(400)  # noqa: S311 - no secret
        self.failing = failing
        self.dumps: list[PostgresManifest] = []
        self.artifacts: list[ArtifactsManifest] = []
        self.deleted_on: dict[int, int] = {}
        self.night_of: dict[int, int] = {}

    def run(self, day: int) -> None:
        now = self.clock(day)
        if self.drawn.random() >= self.failing:
            self.night_of[2 * day + 2] = day
            self.dumps.append(dump_manifest(2 * day + 2, finished_at=now))
        if self.dumps and self.drawn.random() >= self.failing:
            self.night_of[2 * day + 3] = day
            broken = BROKEN if self.drawn.random() < self.failing else []
            tied = self.dumps[-1].sequence
            self.artifacts.append(artifacts_manifest(2 * day + 3, tied, finished_at=now, broken=broken))
            self._clean(now, day)

    def _clean(self, now: datetime, day: int) -> None:
        old = expired(self.dumps, self.artifacts, now=now, keep_days=self.keep_days)
        for backup in (*old.postgres, *old.artifacts):
            self.deleted_on[backup.sequence] = day
        self.dumps = [dump for dump in self.dumps if dump not in old.postgres]
        self.artifacts = [backup for backup in self.artifacts if backup not in old.artifacts]

    def check(self) -> None:
        ids = {dump.id for dump in self.dumps}
        assert all(backup.database.id in ids for backup in self.artifacts), "artifacts without their dump"
        if any(not backup.broken for backup in self.artifacts):
            return
        assert not any(sequence % 2 and self.deleted_on for sequence in self.deleted_on), "the last good one is gone"


@pytest.mark.parametrize("clock", [steady, ahead_for_a_week, back_for_a_week, ahead_for_good, vienna])
@pytest.mark.parametrize("keep_days", [7, 90])
@pytest.mark.parametrize("failing", [0.0, 0.4])
def test_over_400_days_nothing_goes_too_early(clock: Clock, keep_days: int, failing: float) -> None:
    nights = Nights(clock, keep_days, failing)
    for day in range(DAYS):
        nights.run(day)
        nights.check()
    assert nights.deleted_on
    ages = [deleted - nights.night_of[sequence] for sequence, deleted in nights.deleted_on.items()]
    assert min(ages) >= keep_days, "by true days, whatever the clock said"


@pytest.mark.parametrize("clock", [steady, ahead_for_a_week, back_for_a_week, ahead_for_good, vienna])
@pytest.mark.parametrize("keep_days", [7, 90])
def test_over_400_days_nothing_stays_for_ever(clock: Clock, keep_days: int) -> None:
    nights = Nights(clock, keep_days)
    for day in range(DAYS):
        nights.run(day)
    for staying in (nights.dumps, nights.artifacts):
        assert keep_days <= len(staying) <= keep_days + 2


def test_a_fortnight_without_a_good_backup_deletes_none() -> None:
    nights = Nights(steady, 7)
    for day in range(20):
        nights.run(day)
    before = [*nights.dumps], [*nights.artifacts]
    late = steady(400)
    old = expired(*before, now=late, keep_days=7)
    assert len(before[0]) - len(old.postgres) >= 7
    assert before[1][-1] not in old.artifacts


def test_the_last_whole_artifacts_and_their_dump_stay_while_only_broken_ones_follow() -> None:
    dumps = [dump_manifest(2 * day, finished_at=steady(day)) for day in range(1, 100)]
    artifacts = [
        artifacts_manifest(2 * day + 1, 2 * day, finished_at=steady(day), broken=BROKEN if day > 10 else [])
        for day in range(1, 100)
    ]
    old = expired(dumps, artifacts, now=steady(100), keep_days=7)
    good = artifacts[9]
    assert good not in old.artifacts
    assert good.database.id not in {dump.id for dump in old.postgres}
    assert len(old.artifacts) == 99 - 8


def test_many_by_hand_on_one_day_expire_no_other_day() -> None:
    dumps = [dump_manifest(number, finished_at=steady(number)) for number in range(1, 8)]
    dumps += [dump_manifest(number, finished_at=steady(7)) for number in range(8, 40)]
    assert expired(dumps, [], now=steady(7) + timedelta(hours=1), keep_days=7).postgres == []


@pytest.mark.parametrize(
    ("finished", "goes"),
    [("2026-02-28T02:00:00Z", True), ("2026-03-01T01:59:59Z", True), ("2026-03-01T02:00:00Z", False)],
)
def test_the_edge_is_exact_over_a_month_end(finished: str, *, goes: bool) -> None:
    first = dump_manifest(1, finished_at=datetime.fromisoformat(finished))
    later = [dump_manifest(n, finished_at=datetime(2026, 3, n, 2, tzinfo=UTC)) for n in range(2, 9)]
    old = expired([first, *later], [], now=datetime(2026, 3, 8, 2, tzinfo=UTC), keep_days=7)
    assert (first in old.postgres) is goes
