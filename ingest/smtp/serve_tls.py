"""The receiver's certificate: the configured one, or one of our own making, so that STARTTLS is always offered (RFC 7435)."""

import os
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from contracts.errors import ConfigurationError
from contracts.settings import Settings

VALID = timedelta(days=3650)


def tls_context(settings: Settings) -> ssl.SSLContext:
    """What STARTTLS uses. ConfigurationError when the configured certificate cannot be used, OSError when ours cannot be kept."""
    certificate, key = settings.smtp.tls_cert, settings.smtp.tls_key
    if certificate is None:
        certificate = settings.data_dir / "tls" / f"{settings.authserv_id}.pem"
        if not certificate.exists():
            _create(certificate, settings.authserv_id)
        key = None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"smtp.tls_cert: {certificate} and smtp.tls_key: {key} cannot be used: {error}"
        ) from error
    return context


def _create(path: Path, host: str) -> None:
    """A self-signed certificate with its key in one file; of several processes that make one, the first wins."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, SHA256())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fresh.write_bytes(octets + certificate.public_bytes(Encoding.PEM))
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
