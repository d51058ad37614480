"""What clients verify RDS with: fetched from a stand-in for AWS' address, and refused where it is something else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.rds_authority import REGION, authority

from ops.errors import OpsError
from ops.stack.rds_certificates import save


def answering(text: str) -> Callable[[str], bytes]:
    def fetch(url: str) -> bytes:
        assert url == f"https://truststore.pki.rds.amazonaws.com/{REGION}/{REGION}-bundle.pem"
        return text.encode()

    return fetch


def test_the_certificates_are_saved_as_they_are_and_named(tmp_path: Path) -> None:
    text = authority() + authority()
    line = save(REGION, tmp_path / "new" / "file.pem", answering(text))
    assert (tmp_path / "new" / "file.pem").read_text() == text
    assert line.count(f"Amazon RDS {REGION} Root CA") == 2
    assert line.endswith(f"sha256 {hashlib.sha256(text.encode()).hexdigest()}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html>", "is not a list of certificates"),
        ("", "is not a list of certificates"),
        (authority("eu-west-1"), "'Amazon RDS eu-west-1 Root CA ECC384 G1' is no authority of RDS in eu-central-1"),
        (authority(owner="Somebody"), "is no authority of RDS"),
        (authority(days=-1), "has expired on"),
        (authority() + authority(signs=False), "has certificates that are not of an authority"),
    ],
    ids=["a page", "nothing", "another region", "another owner", "expired", "a server"],
)
def test_anything_else_is_refused_and_the_file_stays(text: str, reason: str, tmp_path: Path) -> None:
    target = tmp_path / "file.pem"
    target.write_text("as before")
    with pytest.raises(OpsError, match=reason):
        save(REGION, target, answering(text))
    assert target.read_text() == "as before"
