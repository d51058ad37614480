"""A backup of every format that was ever written restores: `tests/fixtures/backups/format-N` is one, kept as it was.

A new format gets a fixture of its own beside the old ones, made by the program that first wrote it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.backup_jobs import superuser
from support.postgres import Postgres

from ops.backup.catalog import Catalog
from ops.backup.drill_models import prove
from ops.backup.manifest import FORMAT
from ops.backup.options import RestoreOptions
from ops.backup.restore import restore
from ops.backup.storage.folder import FolderStorage
from ops.backup.verify import verify
from ops.errors import OpsError

pytestmark = pytest.mark.service

FIXTURES = Path(__file__).parents[1] / "fixtures" / "backups"
FORMATS = sorted(FIXTURES.iterdir())


def test_there_is_a_fixture_of_each_format() -> None:
    assert [path.name for path in FORMATS] == [f"format-{number}" for number in range(1, FORMAT + 1)]


@pytest.mark.parametrize("root", FORMATS, ids=lambda path: path.name)
def test_it_is_whole_and_restores(root: Path, empty_postgres: Postgres, tmp_path: Path) -> None:
    store = FolderStorage(root)
    pair = Catalog(store).pair("latest")
    checked = verify(store, pair, tmp_path)
    assert (checked.problems, checked.broken) == ([], [])
    target = tmp_path / "artifacts"
    options = RestoreOptions(source=str(root), backup="latest", server=superuser(empty_postgres), artifacts=str(target))
    restore(options, lambda _: None)
    assert empty_postgres.psql(sql="SELECT count(*), max(id) FROM runs", database="mlflow").strip() == "20|20"
    assert empty_postgres.psql(sql="SELECT title FROM dashboard ORDER BY id", database="grafana").split("\n")[:2] == [
        "überblick",
        "Kosten €",
    ]
    assert (
        empty_postgres.psql(sql="SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'mlflow'").strip()
        == "mlflow"
    )
    assert (target / "notes ü.txt").read_text() == "x"
    # The bundle is older than verdicts in manifests: it can be loaded, but the API would not serve it.
    with pytest.raises(OpsError, match="is in production and must not be served: its manifest records no verdict"):
        prove(pair.postgres.versions, target)
    (proof,) = prove([version.model_copy(update={"aliases": []}) for version in pair.postgres.versions], target)
    assert proof.loaded
    assert proof.golden_rows > 0
