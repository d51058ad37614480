"""Stand-ins for the `random` and `tls` providers: real random values and certificates, in the real ones' outputs."""

from __future__ import annotations

import datetime as dt
import secrets
import string
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.engine.provider import Asked, Change, Journal, Provider, ProviderError
from support.engine.wire import Properties, revealed

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
CURVES: dict[str, type[ec.EllipticCurve]] = {"P256": ec.SECP256R1, "P384": ec.SECP384R1, "P521": ec.SECP521R1}


class Values(Provider):
    """Made once and never changed in place: each input that differs asks for another. ``secrets`` are those it made."""

    def __init__(self, package: str, journal: Journal) -> None:
        super().__init__(package, journal)
        self.secrets: list[str] = []

    def check(self, asked: Asked) -> Properties:
        return asked.new

    def diff(self, asked: Asked) -> Change:
        before, after = revealed(asked.old), revealed(asked.new)
        paths = tuple(sorted(key for key in before | after if before.get(key) != after.get(key)))
        return Change(paths=paths, replacing=paths)

    def update(self, asked: Asked) -> Properties:
        raise ProviderError(f"{asked.kind} cannot change in place")

    def delete(self, asked: Asked) -> None:
        """Nothing is kept anywhere but in the state."""

    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        return asked.old, asked.state


class Random(Values):
    """Passwords, the one thing of it that the program makes."""

    def __init__(self, journal: Journal) -> None:
        super().__init__("random", journal)

    def create(self, asked: Asked) -> tuple[str, Properties]:
        given = revealed(asked.new)
        match asked.kind:
            case "RandomPassword":
                result = _password(given)
                self.secrets.append(result)
                return "none", asked.new | {"result": result, "bcryptHash": "not made by the stand-in"}
            case other:
                raise ProviderError(f"the stand-in makes no {other}")


class Tls(Values):
    """ECDSA keys and certificates that sign themselves; the real one makes more."""

    def __init__(self, journal: Journal) -> None:
        super().__init__("tls", journal)

    def create(self, asked: Asked) -> tuple[str, Properties]:
        given = revealed(asked.new)
        match asked.kind:
            case "PrivateKey":
                made = _key(given)
                self.secrets += [made["privateKeyPem"], made["privateKeyPemPkcs8"]]
                return secrets.token_hex(20), asked.new | made
            case "SelfSignedCert":
                return secrets.token_hex(16), asked.new | _certificate(given)
            case other:
                raise ProviderError(f"the stand-in makes no {other}")


def _password(given: Properties) -> str:
    alphabet = string.ascii_letters + string.digits
    if given.get("special", True):
        alphabet += given.get("overrideSpecial", SPECIAL)
    return "".join(secrets.choice(alphabet) for _ in range(given["length"]))


def _key(given: Properties) -> dict[str, str]:
    if given["algorithm"] != "ECDSA":
        raise ProviderError(f"the stand-in makes no {given['algorithm']} keys")
    key = ec.generate_private_key(CURVES[given["ecdsaCurve"]]())
    pem, clear = serialization.Encoding.PEM, serialization.NoEncryption()
    return {
        "privateKeyPem": key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, clear).decode(),
        "privateKeyPemPkcs8": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, clear).decode(),
        "publicKeyPem": key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
    }


def _certificate(given: Properties) -> dict[str, Any]:
    key = serialization.load_pem_private_key(given["privateKeyPem"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    subject = given["subject"]
    fields = {NameOID.COMMON_NAME: subject["commonName"], NameOID.ORGANIZATION_NAME: subject["organization"]}
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in fields.items()])
    start = dt.datetime.now(dt.UTC)
    end = start + dt.timedelta(hours=given["validityPeriodHours"])
    hosts = x509.SubjectAlternativeName([x509.DNSName(host) for host in given["dnsNames"]])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, end)
    builder = builder.add_extension(hosts, critical=False)
    return {
        "certPem": builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(),
        "keyAlgorithm": "ECDSA",
        "readyForRenewal": False,
        "validityStartTime": start.isoformat(),
        "validityEndTime": end.isoformat(),
    }
