"""MLflow's tables, which come in two sets with revisions of their own, and its users.

Import it only after `app.names.MLFLOW_CLIENT` is in the environment: it imports MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import mlflow
import sqlalchemy
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.server.auth.db import utils as auth_tables
from mlflow.server.auth.permissions import MANAGE, RESOURCE_TYPE_REGISTERED_MODEL
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore as Users
from mlflow.store.db import utils as tracking_tables
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Models
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking
from sqlalchemy.engine import Engine

from ops.errors import OpsError, TemporaryError
from ops.jobs.logins import Login

PROXIED_ARTIFACTS: Final = "mlflow-artifacts:/"
"""The artifact root of a server with --serve-artifacts."""
LOCK: Final = 0x636875726E
"""Key of the lock that two migrations at once meet at; the word `churn`."""
LOCK_WAIT: Final = "20min"
_WITH_DATA: Final = ("runs", "model_versions", "trace_info")


class State(Enum):
    """How the tables stand to the MLflow that runs here."""

    EMPTY = auto()
    OLDER = auto()
    CURRENT = auto()


@dataclass(frozen=True, kw_only=True)
class Schema:
    """One set of tables: where its revision is kept, which there are, and how it is brought to the newest."""

    name: str
    version_table: str
    config: Callable[[str], Config]
    upgrade: Callable[[Engine], None]

    def revision(self, engine: Engine) -> str | None:
        """The revision of the database; None before the first."""
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": self.version_table})
            return context.get_current_revision()

    def state(self, engine: Engine) -> State:
        """How far the database is.

        Raises:
            OpsError: its revision is none that this MLflow knows, so a newer one was here.
        """
        revision = self.revision(engine)
        if revision is None:
            return State.EMPTY
        # The address is for commands that connect by themselves; a script directory never does.
        scripts = ScriptDirectory.from_config(self.config(""))
        if revision == scripts.get_current_head():
            return State.CURRENT
        try:
            scripts.get_revision(revision)
        except CommandError:
            raise OpsError(
                f"the tables for {self.name} are at revision {revision}, which MLflow {mlflow.__version__} does not "
                "know: a newer MLflow has been here; deploy that one again, or restore a backup from before"
            ) from None
        return State.OLDER


def _upgrade_tracking(engine: Engine) -> None:
    if TRACKING.revision(engine) is None:
        # What MLflow's server does at its first start.
        tracking_tables._initialize_tables(engine)  # type: ignore[no-untyped-call]  # noqa: SLF001 - no public way
    else:
        # What `mlflow db upgrade` does.
        tracking_tables._upgrade_db(engine)  # type: ignore[no-untyped-call]  # noqa: SLF001 - no public way


def _upgrade_logins(engine: Engine) -> None:
    auth_tables.migrate(engine, "head")


TRACKING: Final = Schema(
    name="runs and models",
    version_table="alembic_version",
    config=tracking_tables._get_alembic_config,  # noqa: SLF001 - MLflow has no public way to its revisions
    upgrade=_upgrade_tracking,
)
LOGINS: Final = Schema(
    name="logins",
    version_table="alembic_version_auth",
    config=auth_tables._get_alembic_config,  # noqa: SLF001 - MLflow has no public way to its revisions
    upgrade=_upgrade_logins,
)


def connect(uri: str) -> Engine:
    """The database, once it answers.

    Raises:
        TemporaryError: it does not within two minutes.
    """
    try:
        engine: Engine = tracking_tables.create_sqlalchemy_engine_with_retry(uri)  # type: ignore[no-untyped-call]
    except sqlalchemy.exc.OperationalError as error:
        raise TemporaryError(f"the database does not answer: {str(error.orig).strip().splitlines()[0]}") from None
    return engine


@contextmanager
def exclusive(engine: Engine) -> Iterator[None]:
    """Wait until no other migration runs, and keep others waiting. SQLite has no such lock: one process uses it."""
    if engine.dialect.name != "postgresql":
        yield
        return
    # A connection of its own outside of any transaction, which the server would end after ten idle minutes.
    own = sqlalchemy.create_engine(engine.url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
    with own.connect() as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_WAIT}'")
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
        yield


def has_data(engine: Engine) -> bool:
    """Whether there is anything that an upgrade gone wrong could lose."""
    tables = set(sqlalchemy.inspect(engine).get_table_names()) & set(_WITH_DATA)
    with engine.connect() as connection:
        return any(
            connection.execute(sqlalchemy.text(f"SELECT 1 FROM {table} LIMIT 1")).first() is not None  # noqa: S608 - our names
            for table in sorted(tables)
        )


def make_default_experiment(uri: str) -> None:
    """What a server does at its first start; several that start together would get in each other's way."""
    Tracking(uri, PROXIED_ARTIFACTS)  # type: ignore[no-untyped-call]  # MLflow has no types here


def make_model(uri: str, name: str) -> None:
    """An empty registered model, unless there is one.

    Whoever asks for an alias of a model that does not exist is told that he may not, unless he is an administrator; of
    one without versions he is told that there is none, which the API and training know how to take.
    """
    models = Models(uri)  # type: ignore[no-untyped-call]  # MLflow has no types here
    try:
        models.create_registered_model(name)  # type: ignore[no-untyped-call]  # see above
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def open_users(uri: str) -> Users:
    """MLflow's users."""
    users = Users()
    users.init_db(uri)  # type: ignore[no-untyped-call]  # MLflow has no types here
    return users


def set_user(users: Users, login: Login, *, admin: bool = False) -> str:
    """Make a user, or give an existing one this password and rank; returns what was done in a word.

    Raises:
        OpsError: MLflow refuses the name or the password.
    """
    try:
        if not users.has_user(login.username):
            users.create_user(login.username, login.password, is_admin=admin)
            return "created"
        if users.authenticate_user(login.username, login.password):
            users.update_user(login.username, is_admin=admin)
            return "unchanged"
        users.update_user(login.username, password=login.password, is_admin=admin)
    except MlflowException as error:
        raise OpsError(f"the login {login.username!r} does not do: {error.message}") from None
    return "given a new password"


def let_manage(users: Users, username: str, model_name: str) -> None:
    """All rights to one registered model, whoever made or will make it."""
    users.grant_user_permission(username, RESOURCE_TYPE_REGISTERED_MODEL, model_name, MANAGE.name)
