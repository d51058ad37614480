"""Stand-ins for the `random` and `tls` providers: real random values and certificates, in the same outputs."""

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
    """Values that never change in place: a different input means a new one. ``secrets`` are all those so far."""

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
        """Do nothing: values exist in the state alone."""

    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        return asked.old, asked.state


class Random(Values):
    """Generates passwords and parts of names, which is all that the program uses of the package."""

    def __init__(self, journal: Journal) -> None:
        super().__init__("random", journal)

    def create(self, asked: Asked) -> tuple[str, Properties]:
        inputs = revealed(asked.new)
        match asked.kind:
            case "RandomPassword":
                result = _password(inputs)
                self.secrets.append(result)
                return "none", asked.new | {"result": result, "bcryptHash": "not computed by the stand-in"}
            case "RandomString":
                result = "".join(secrets.choice(string.ascii_lowercase) for _ in range(inputs["length"]))
                return result, asked.new | {"result": result}
            case other:
                raise ProviderError(f"the stand-in does not provide {other}")


class Tls(Values):
    """Generates ECDSA keys and self-signed certificates, which is all that the program uses of the package."""

    def __init__(self, journal: Journal) -> None:
        super().__init__("tls", journal)

    def create(self, asked: Asked) -> tuple[str, Properties]:
        inputs = revealed(asked.new)
        match asked.kind:
            case "PrivateKey":
                key = _key(inputs)
                self.secrets += [key["privateKeyPem"], key["privateKeyPemPkcs8"]]
                return secrets.token_hex(20), asked.new | key
            case "SelfSignedCert":
                return secrets.token_hex(16), asked.new | _certificate(inputs)
            case other:
                raise ProviderError(f"the stand-in does not provide {other}")


def _password(inputs: Properties) -> str:
    alphabet = string.ascii_letters + string.digits
    if inputs.get("special", True):
        alphabet += inputs.get("overrideSpecial", SPECIAL)
    return "".join(secrets.choice(alphabet) for _ in range(inputs["length"]))


def _key(inputs: Properties) -> dict[str, str]:
    if inputs["algorithm"] != "ECDSA":
        raise ProviderError(f"the stand-in does not generate {inputs['algorithm']} keys")
    key = ec.generate_private_key(CURVES[inputs["ecdsaCurve"]]())
    pem, clear = serialization.Encoding.PEM, serialization.NoEncryption()
    return {
        "privateKeyPem": key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, clear).decode(),
        "privateKeyPemPkcs8": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, clear).decode(),
        "publicKeyPem": key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
    }


def _certificate(inputs: Properties) -> dict[str, Any]:
    key = serialization.load_pem_private_key(inputs["privateKeyPem"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    subject = inputs["subject"]
    fields = {NameOID.COMMON_NAME: subject["commonName"], NameOID.ORGANIZATION_NAME: subject["organization"]}
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in fields.items()])
    start = dt.datetime.now(dt.UTC)
    end = start + dt.timedelta(hours=inputs["validityPeriodHours"])
    hosts = x509.SubjectAlternativeName([x509.DNSName(host) for host in inputs["dnsNames"]])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, end)
    builder = builder.add_extension(hosts, critical=False)
    return {
        "certPem": builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(),
        "keyAlgorithm": "ECDSA",
        "readyForRenewal": False,
        "validityStartTime": start.isoformat(),
        "validityEndTime": end.isoformat(),
    }
