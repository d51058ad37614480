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
"""Key of the lock that keeps two migrations from running at once: the bytes of `churn`."""
LOCK_WAIT: Final = "20min"
_WITH_DATA: Final = ("runs", "model_versions", "trace_info")


class State(Enum):
    """Age of the tables, compared with the MLflow that runs here."""

    EMPTY = auto()
    OLDER = auto()
    CURRENT = auto()


@dataclass(frozen=True, kw_only=True)
class Schema:
    """One set of tables: where its revision is stored, which revisions there are, and how it is upgraded."""

    name: str
    version_table: str
    config: Callable[[str], Config]
    upgrade: Callable[[Engine], None]

    def revision(self, engine: Engine) -> str | None:
        """Return the revision of the database; None before the first."""
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": self.version_table})
            return context.get_current_revision()

    def state(self, engine: Engine) -> State:
        """Return the state of the tables.

        Raises:
            OpsError: this MLflow does not know the revision, so a newer MLflow wrote it.
        """
        revision = self.revision(engine)
        if revision is None:
            return State.EMPTY
        # A script directory never connects, so it needs no address.
        scripts = ScriptDirectory.from_config(self.config(""))
        if revision == scripts.get_current_head():
            return State.CURRENT
        try:
            scripts.get_revision(revision)
        except CommandError:
            raise OpsError(
                f"the tables for {self.name} are at revision {revision}, which MLflow {mlflow.__version__} does not "
                "know: a newer MLflow has upgraded them; deploy that version again, or restore an earlier backup"
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
    """Connect to the database, once it answers.

    Raises:
        TemporaryError: it does not answer within two minutes.
    """
    try:
        engine: Engine = tracking_tables.create_sqlalchemy_engine_with_retry(uri)  # type: ignore[no-untyped-call]
    except sqlalchemy.exc.OperationalError as error:
        raise TemporaryError(f"the database does not answer: {str(error.orig).strip().splitlines()[0]}") from None
    return engine


@contextmanager
def exclusive(engine: Engine) -> Iterator[None]:
    """Wait until no other migration runs, and make others wait. SQLite needs no lock: one process uses it."""
    if engine.dialect.name != "postgresql":
        yield
        return
    # A separate connection without a transaction, which the server would end after ten idle minutes.
    own = sqlalchemy.create_engine(engine.url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
    with own.connect() as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_WAIT}'")
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
        yield


def has_data(engine: Engine) -> bool:
    """Whether the database has anything that a failed upgrade could lose."""
    tables = set(sqlalchemy.inspect(engine).get_table_names()) & set(_WITH_DATA)
    with engine.connect() as connection:
        return any(
            connection.execute(sqlalchemy.text(f"SELECT 1 FROM {table} LIMIT 1")).first() is not None  # noqa: S608 - our names
            for table in sorted(tables)
        )


def make_default_experiment(uri: str) -> None:
    """Create the default experiment, so that servers that start together do not collide over creating it."""
    Tracking(uri, PROXIED_ARTIFACTS)  # type: ignore[no-untyped-call]  # MLflow has no types here


def make_model(uri: str, name: str) -> None:
    """Create an empty registered model, unless it exists.

    MLflow answers a question about the alias of a missing model with "forbidden", unless an administrator asks. For a
    model without versions it answers that there is none, which the API and training understand.
    """
    models = Models(uri)  # type: ignore[no-untyped-call]  # MLflow has no types here
    try:
        models.create_registered_model(name)  # type: ignore[no-untyped-call]  # see above
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def open_users(uri: str) -> Users:
    """Open the table of MLflow's users."""
    users = Users()
    users.init_db(uri)  # type: ignore[no-untyped-call]  # MLflow has no types here
    return users


def set_user(users: Users, login: Login, *, admin: bool = False) -> str:
    """Create a user, or give an existing one this password and rank; returns what was done.

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
        raise OpsError(f"MLflow refuses the login {login.username!r}: {error.message}") from None
    return "given a new password"


def allow_manage(users: Users, username: str, model_name: str) -> None:
    """Give a user all rights to one registered model, whoever creates it."""
    users.grant_user_permission(username, RESOURCE_TYPE_REGISTERED_MODEL, model_name, MANAGE.name)
