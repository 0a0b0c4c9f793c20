"""The page's own certificate: made at the first start, used until it is about to end.

Imports errors and clock; `cryptography`.
"""

import ipaddress
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from perception.errors import ConfigError

DAYS = 825
_RENEW = timedelta(days=30)


class Certificate(NamedTuple):
    """PEM files, and the SHA-256 of the certificate as browsers show it."""

    certificate: Path
    key: Path
    fingerprint: str


def own(folder: Path, names: Sequence[str] = ()) -> Certificate:
    """Return the certificate in a folder; make it where there is none, or its end is near.

    names: host names besides this host's own names and addresses. Raises ConfigError where the
    folder cannot be written.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    try:
        if not (certificate.is_file() and key.is_file() and _is_good(certificate, names)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(certificate, key, names)
        return Certificate(certificate, key, fingerprint(certificate))
    except OSError as error:
        raise ConfigError(f"{folder}: the certificate cannot be kept: {error.strerror}") from None


def fingerprint(certificate: Path) -> str:
    """Return the SHA-256 of a PEM certificate, hex pairs with colons."""
    return _load(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def host_names() -> list[str]:
    """Return the names of this host."""
    name = socket.gethostname()
    return list(dict.fromkeys(["localhost", name, f"{name.split('.')[0]}.local"]))


def addresses() -> list[str]:
    """Return the addresses of this host, loopback last."""
    found = [
        address.address.split("%")[0]
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return sorted(set(found), key=lambda a: (ipaddress.ip_address(a).is_loopback, ":" in a, a))


def _is_good(path: Path, names: Sequence[str]) -> bool:
    try:
        found = _load(path)
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ConfigError, x509.ExtensionNotFound):
        return False
    named = set(alternative.get_values_for_type(x509.DNSName))
    return found.not_valid_after_utc - datetime.now(UTC) > _RENEW and set(names) <= named


def _make(certificate: Path, key: Path, names: Sequence[str]) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "perception")])
    named = list(dict.fromkeys([*host_names(), *names]))
    alternative: list[x509.GeneralName] = [x509.DNSName(name) for name in named]
    alternative += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses()]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(title)
        .issuer_name(title)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(secret, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = secret.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, data in ((key, private), (certificate, made.public_bytes(pem))):
        part = path.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        part.replace(path)


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise ConfigError(f"{path}: is no certificate in PEM") from None
