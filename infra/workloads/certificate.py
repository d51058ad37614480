"""The certificate of the edge: self-signed, for every host of the stack, renewed in time by `pulumi up`.

Behind a load balancer, which has a public certificate of its own, it encrypts the connection from there to NGINX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_tls import PrivateKey, SelfSignedCert, SelfSignedCertSubjectArgs

from infra.config import StateSettings
from infra.kit.meta import unnamed
from infra.kit.options import child, stateful
from infra.naming import INGRESS, PROJECT

DAY_HOURS: Final = 24
VALID_DAYS: Final = 365
RENEW_DAYS: Final = 60
"""How long before it expires the next `pulumi up` replaces it."""


@dataclass(frozen=True, kw_only=True)
class CertificateArgs:
    """The hosts that it is valid for; the first one is its common name."""

    hosts: Sequence[str]
    state: StateSettings


class Certificate(pulumi.ComponentResource):
    """A private key, its certificate and the Secret that NGINX reads them from."""

    pem: pulumi.Output[str]
    """The public part, for clients that are to trust it."""
    secret_name: pulumi.Output[str]

    def __init__(self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Certificate", name, {}, opts)
        key = PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=stateful(self, args.state))
        certificate = SelfSignedCert(
            f"{name}-self-signed",
            private_key_pem=key.private_key_pem,
            subject=SelfSignedCertSubjectArgs(common_name=args.hosts[0], organization=PROJECT),
            dns_names=list(args.hosts),
            allowed_uses=["digital_signature", "server_auth"],
            validity_period_hours=VALID_DAYS * DAY_HOURS,
            early_renewal_hours=RENEW_DAYS * DAY_HOURS,
            opts=child(self),
        )
        files: dict[str, pulumi.Output[str]] = {"tls.crt": certificate.cert_pem, "tls.key": key.private_key_pem}
        secret = Secret(
            f"{name}-secret",
            metadata=unnamed(INGRESS),
            type="kubernetes.io/tls",
            string_data=files,
            opts=child(self),
        )
        self.pem = certificate.cert_pem
        self.secret_name = secret.metadata.name
        self.register_outputs({"pem": self.pem})
