"""A certificate authority of a test's own."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Its own certificate in `ca_file`, and in `chain` a key and a certificate of it for these names."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.ca_file, self.chain = folder / "ca.pem", folder / "chain.pem"
        key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.ca_file.write_bytes(self._certificate(issuer, issuer, key.public_key(), key, None))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        octets = self._certificate(subject, issuer, own.public_key(), key, names)
        private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.chain.write_bytes(private + octets + self.ca_file.read_bytes())
        self._own, self._subject, self._octets = own, subject, octets

    def misused(self, folder: Path, names: list[str]) -> ssl.SSLContext:
        """A certificate for other names that the owner of the first one has signed with its key, which is no authority's."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        octets = self._certificate(subject, self._subject, key.public_key(), self._own, names)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = folder / "misused.pem"
        chain.write_bytes(private + octets + self._octets + self.ca_file.read_bytes())
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(chain)
        return made

    def _certificate(
        self, subject: x509.Name, issuer: x509.Name, public: Any, key: Any, names: list[str] | None
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(names is None, None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
        return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)

    @property
    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.chain)
        return made


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
