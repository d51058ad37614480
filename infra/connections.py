"""Connections to PostgreSQL: the pool of each client, the limit of each login, and the limit of the server.

A connection costs the server a process of a few MiB, so each pool is small and all of them together stay below the
server's limit. The server also limits each login, so that no client can use up the connections of another.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from infra import naming as n
from infra import secret_files
from infra.cloud import Database
from infra.config import Settings

MAX_CONNECTIONS: Final = 114
RESERVED: Final = 6
"""Connections reserved for the superuser, and so for people who maintain the server."""
LOGINS: Final = {
    "mlflow": secret_files.POSTGRES_MLFLOW,
    "grafana": secret_files.POSTGRES_GRAFANA,
    "backup": secret_files.POSTGRES_BACKUP,
    "monitor": secret_files.POSTGRES_MONITOR,
}
"""Secrets by login. `mlflow` and `grafana` each own the database of their name, `backup` reads both, and `monitor`
reads statistics of the server but no table."""
LOGIN_LIMITS: Final = {"mlflow": 78, "grafana": 22, "backup": 4, "monitor": 4}
"""The most connections of one login, whatever its clients: the `CONNECTION LIMIT` of its role."""
RDS_RESERVED: Final = 3 + 2
"""Connections that RDS keeps from our logins: `superuser_reserved_connections`, which RDS does not let anybody change,
and `rds.rds_superuser_reserved_connections`, at their defaults (AWS knowledge center,
`rds-postgresql-error-connection-slots`; awsdocs/amazon-aurora-user-guide, `AuroraPostgreSQL.Reference.md`)."""
RDS_OWN: Final = 5
"""Room for the sessions of RDS itself, which count like any other (the same article of the knowledge center)."""
RDS_MAX_CONNECTIONS: Final = sum(LOGIN_LIMITS.values()) + RDS_RESERVED + RDS_OWN
CERTIFIED: Final = LOGINS["mlflow"]
"""Its secret has the certificates for whoever logs in as the superuser, whose secret RDS makes, without any."""


def login_options() -> list[str]:
    """Return the options with which a program learns every login: its name, its limit, and the folder of its secret."""
    return [part for role, spec in LOGINS.items() for part in ("--login", f"{role}:{LOGIN_LIMITS[role]}:{spec.path}")]


def trust(where: Database, login: secret_files.SecretSpec) -> dict[str, str]:
    """Return the variable by which libpq finds what it verifies the server with; none for a database in a pod.

    It is read for every new connection, in every program of PostgreSQL and with psycopg2, where neither the service
    file nor the connection string has the parameter `sslrootcert` (libpq's documentation, "Environment Variables").
    """
    return {"PGSSLROOTCERT": login.ca} if where.cidrs else {}


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Connections of one pod: ``pools`` times (``size`` kept open + ``overflow``), and ``others`` outside the pools."""

    login: str
    size: int
    overflow: int
    pools: int = 1
    others: int = 0

    @property
    def each(self) -> int:
        """The most connections of one of its pools."""
        return self.size + self.overflow

    @property
    def most(self) -> int:
        """The most connections that one pod can hold."""
        return self.pools * self.each + self.others


POOLS: Final = {
    # MLflow has one pool each for runs, models and logins; the process that starts the server holds one connection of
    # each. MLflow ignores an overflow of 0, and SQLAlchemy's default of 10 would apply.
    n.MLFLOW.name: Pool(login="mlflow", size=3, overflow=3, pools=3, others=3),
    n.MLFLOW_MIGRATE.name: Pool(login="mlflow", size=1, overflow=1, pools=4, others=2),
    n.MLFLOW_GC.name: Pool(login="mlflow", size=1, overflow=1, pools=2),
    # Grafana's unified storage opens a second pool with the same settings (grafana/grafana,
    # `pkg/storage/unified/sql/db/dbimpl/dbimpl.go`); one more connection resets a password while both are full.
    n.GRAFANA.name: Pool(login="grafana", size=2, overflow=3, pools=2, others=1),
    n.BACKUP.name: Pool(login="backup", size=0, overflow=0, others=3),
    # The exporter keeps one open and opens another for each scrape; a pair of Prometheus replicas may scrape at once.
    n.POSTGRES_EXPORTER.name: Pool(login="monitor", size=1, overflow=0, others=2),
}
"""Clients of the database by the name of their workload."""


def pods(settings: Settings) -> dict[str, int]:
    """Return how many pods of each client may exist at once: during a rollout there is one more than configured."""
    return dict.fromkeys(POOLS, 1) | {
        n.MLFLOW.name: settings.mlflow.replicas + 1,
        n.GRAFANA.name: max(2, settings.grafana.replicas),
    }


def demand(settings: Settings) -> Counter[str]:
    """Return the most connections that the clients of each login can hold."""
    total: Counter[str] = Counter()
    for name, count in pods(settings).items():
        total[POOLS[name].login] += count * POOLS[name].most
    return total
