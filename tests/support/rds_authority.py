"""A stand-in for the authority that signs RDS' servers in a region: a self-signed certificate with its form of name."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REGION = "eu-central-1"
OWNER = "Amazon Web Services, Inc."


def authority(region: str = REGION, *, owner: str = OWNER, days: int = 30, signs: bool = True) -> str:
    """A certificate as PEM that ends so many days from now; without ``signs`` it is no authority's."""
    key = ec.generate_private_key(ec.SECP256R1())
    fields = {NameOID.COMMON_NAME: f"Amazon RDS {region} Root CA ECC384 G1", NameOID.ORGANIZATION_NAME: owner}
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in fields.items()])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=100)).not_valid_after(now + dt.timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def write(folder: Path, region: str = REGION) -> None:
    """Write the file that `churn rds certificates` would fetch."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{region}.pem").write_text(authority(region))
