"""Who holds how many connections of PostgreSQL: each client's pool, each login's limit, and what the server allows.

A connection costs the server a process of a few MiB, so each pool is small and all of them together stay below the
server's limit. Logins are limited by the server too, so that no client can take the connections of another.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from infra import naming as n
from infra import secret_files
from infra.config import Settings

MAX_CONNECTIONS: Final = 104
RESERVED: Final = 6
"""For the superuser and for people who look after the server."""
LOGINS: Final = {
    "mlflow": secret_files.POSTGRES_MLFLOW,
    "grafana": secret_files.POSTGRES_GRAFANA,
    "backup": secret_files.POSTGRES_BACKUP,
    "monitor": secret_files.POSTGRES_MONITOR,
}
"""Secrets by login. `mlflow` and `grafana` each own the database of their name, `backup` reads both, and `monitor`
reads statistics of the server and no table."""
LOGIN_LIMITS: Final = {"mlflow": 78, "grafana": 12, "backup": 4, "monitor": 4}
"""Connections of all clients with one login: `CONNECTION LIMIT` of its role."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Connections of one pod: ``pools`` times (``size`` kept + ``overflow``), and ``others`` outside of them."""

    login: str
    size: int
    overflow: int
    pools: int = 1
    others: int = 0

    @property
    def most(self) -> int:
        """All that one pod can hold."""
        return self.pools * (self.size + self.overflow) + self.others


POOLS: Final = {
    # MLflow has a pool each for runs, models and logins; the process that starts the server keeps one of each.
    # An overflow of 0 would not be taken: MLflow drops it, and then SQLAlchemy's 10 hold.
    n.MLFLOW.name: Pool(login="mlflow", size=3, overflow=3, pools=3, others=3),
    n.MLFLOW_MIGRATE.name: Pool(login="mlflow", size=1, overflow=1, pools=4, others=2),
    n.MLFLOW_GC.name: Pool(login="mlflow", size=1, overflow=1, pools=2),
    n.GRAFANA.name: Pool(login="grafana", size=2, overflow=3),
    n.BACKUP.name: Pool(login="backup", size=0, overflow=0, others=3),
    # It keeps one, and opens one more for each scrape, of which there are two at once where Prometheus is a pair.
    n.POSTGRES_EXPORTER.name: Pool(login="monitor", size=1, overflow=0, others=2),
}
"""Each client of the database, by its workload's name."""


def pods(settings: Settings) -> dict[str, int]:
    """How many pods of each client there can be at once: while a new version rolls out, one more than are wanted."""
    return dict.fromkeys(POOLS, 1) | {
        n.MLFLOW.name: settings.mlflow.replicas + 1,
        n.GRAFANA.name: max(2, settings.grafana.replicas),
    }


def demand(settings: Settings) -> Counter[str]:
    """The most connections that each login can want."""
    wanted: Counter[str] = Counter()
    for name, count in pods(settings).items():
        wanted[POOLS[name].login] += count * POOLS[name].most
    return wanted
