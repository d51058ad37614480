"""The folder of the embedded platform, and which command is using it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.security import KeyEntry, KeyFile, KeyFileError, KeyStore, new_key
from ops.errors import OpsError, TemporaryError

if TYPE_CHECKING:
    from app.contract import Contract  # a type alone: the module loads numpy, and paths are checked before that

DEMO_KEY_ID: Final = "demo"


@dataclass(frozen=True)
class Running:
    """The process that is using a home."""

    pid: int
    command: str
    mlflow_url: str | None = None
    api_url: str | None = None


@dataclass(frozen=True)
class Home:
    """Folder in which the embedded platform keeps everything: ``$CHURN_HOME``, or ``.churn`` in the current folder."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        return cls(Path(os.environ.get("CHURN_HOME") or ".churn").absolute())

    @property
    def customers(self) -> Path:
        return self.root / "data" / "customers.csv"

    def sample(self, contract: Contract) -> Path:
        """The file of made-up customers of a contract; another one as soon as the contract is another."""
        return self.customers.with_name(f"{contract.name}-{contract.sha256[:8]}.csv")

    @property
    def mlflow_database(self) -> Path:
        return self.root / "mlflow" / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "mlflow" / "artifacts"

    @property
    def model_cache(self) -> Path:
        return self.root / "model-cache"

    @property
    def keys_file(self) -> Path:
        return self.root / "api-keys.json"

    @property
    def demo_key_file(self) -> Path:
        return self.root / "demo-key"

    @property
    def monitoring(self) -> Path:
        """Configuration and data of Prometheus and Alertmanager."""
        return self.root / "monitoring"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def _lock(self) -> Path:
        return self.root / "in-use.json"

    def demo_key(self) -> str:
        """Return the key for the printed example; if there is no valid one, make it, and the key file with it.

        Raises:
            OpsError: the key file is invalid; it may hold other clients' keys, so it is not overwritten.
        """
        try:
            key = self.demo_key_file.read_text(encoding="utf-8").strip()
            if KeyStore(self.keys_file).find(key.encode()):
                return key
        except FileNotFoundError:
            pass
        except KeyFileError as error:
            if self.keys_file.exists():
                raise OpsError(f"{error}. Correct the file, or remove it to have a new one made") from None
        return self._new_demo_key()

    def _new_demo_key(self) -> str:
        self.root.mkdir(parents=True, exist_ok=True)
        key, digest = new_key(DEMO_KEY_ID)
        others = KeyFile.model_validate_json(self.keys_file.read_bytes()).keys if self.keys_file.exists() else []
        entry = KeyEntry(id=DEMO_KEY_ID, sha256=[digest], scopes=["predict", "admin"])
        keys = KeyFile(keys=[entry, *(k for k in others if k.id != DEMO_KEY_ID)])
        self.keys_file.write_text(keys.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
        self.demo_key_file.touch(mode=0o600)
        self.demo_key_file.chmod(0o600)
        self.demo_key_file.write_text(key + "\n", encoding="utf-8")
        return key

    @contextmanager
    def use(self, command: str) -> Iterator[HomeLock]:
        """Hold the home, so that no second MLflow server runs on its files.

        Raises:
            TemporaryError: another process holds it; the message names it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        # The lock belongs to the open file, so it ends with the process, however that ends. The file itself stays.
        with self._lock.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TemporaryError(_held(self.root, self._read())) from None
            lock = HomeLock(self._lock, command)
            lock.announce()
            try:
                yield lock
            finally:
                os.truncate(self._lock, 0)

    def running(self) -> Running | None:
        """Return the process that holds the home; None if none does, or if it has not announced itself yet."""
        return self._read() if self.in_use() else None

    def in_use(self) -> bool:
        """Whether a process holds the home."""
        try:
            with self._lock.open("r", encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
        except FileNotFoundError:
            pass
        return False

    def _read(self) -> Running | None:
        try:
            return Running(**json.loads(self._lock.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            return None


class HomeLock:
    """A held home, in which the holder announces itself, and its servers once they answer."""

    def __init__(self, path: Path, command: str) -> None:
        self._path = path
        self._command = command

    def announce(self, *, mlflow_url: str | None = None, api_url: str | None = None) -> None:
        running = Running(pid=os.getpid(), command=self._command, mlflow_url=mlflow_url, api_url=api_url)
        self._path.write_text(json.dumps(asdict(running)) + "\n", encoding="utf-8")


def _held(root: Path, running: Running | None) -> str:
    if running is None:
        return f"{root} is in use by another churn command that is just starting or stopping: try again in a moment"
    where = f", serving at {running.api_url}" if running.api_url else ""
    return (
        f"{root} is in use: '{running.command}' runs as process {running.pid}{where}. "
        "Stop it first, or set CHURN_HOME to another folder"
    )
