"""Prepare the demo: DKIM keys, secrets, a certificate for the remote servers, and the `mailscope.yaml` that fits them.

Run before the pipeline starts; run again it keeps what is there, so that signatures of yesterday still verify.
"""

import base64
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from local.demo.cast import DOMAINS, MAILBOX_ADDRESS, MAILBOX_HOST, MAILBOX_USER, OURS, SELECTOR


@dataclass(frozen=True)
class DemoPorts:
    """Where the pipeline and the demo internet listen."""

    smtp: int = 2525
    api: int = 8025
    dns: int = 5353
    remote_smtp: int = 2550
    desk: int = 9000
    mailbox: int = 2543


def prepare(folder: Path, ports: DemoPorts) -> Path:
    """Write everything that the demo needs into `folder` and return the path of its `mailscope.yaml`."""
    folder = folder.resolve()
    for sub in ("keys", "secrets", "tls"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for name in (OURS, *(domain.name for domain in DOMAINS)):
        if not key_file(folder, name).exists():
            _write_secret(key_file(folder, name), rsa_key())
    if not (folder / "secrets" / "desk").exists():
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        _write_secret(folder / "secrets" / "desk", secret.encode())
    if not (folder / "secrets" / "app").exists():
        _write_secret(folder / "secrets" / "app", secrets.token_urlsafe(18).encode())
    if not (folder / "secrets" / "mailbox").exists():
        _write_secret(folder / "secrets" / "mailbox", secrets.token_hex(8).encode())
    if not (folder / "tls" / "mx.pem").exists():
        _write_secret(folder / "tls" / "mx.pem", _certificate())
    path = folder / "mailscope.yaml"
    text = yaml.safe_dump(settings(folder, ports), sort_keys=False, allow_unicode=True, width=110)
    path.write_text("# Written by `mailscope demo` at each start: copy it before you change it.\n" + text)
    return path


def settings(folder: Path, ports: DemoPorts) -> dict[str, object]:
    """The demo's settings."""
    return {
        "authserv_id": f"mx.{OURS}",
        "dns": {"nameservers": [f"127.0.0.1:{ports.dns}"]},
        "inbound": {
            "domains": {OURS: {"reject_on": ["dmarc-reject"]}},
            "routes": [
                {"match": {"to": f"support@{OURS}"}, "handle": "desk"},
                {"match": {"to": f"sales-*@{OURS}"}, "forward": ["team@partner.example"]},
                {"match": {"to": f"orders@{OURS}"}, "forward": ["greylist.orders@shop.example"]},
                {"match": {"to": f"office@{OURS}"}, "forward": ["gone.office@acme.example"]},
                {"match": {"to": f"news@{OURS}", "header": {"List-Id": "*"}}, "drop": "lists are not read here"},
                {"match": {"to": f"spam@{OURS}"}, "reject": "550 5.7.1 not wanted"},
            ],
        },
        "handlers": {
            "desk": {
                "webhook": f"http://127.0.0.1:{ports.desk}/mail",
                "secret": read_secret(folder, "desk"),
                "timeout": "5s",
            }
        },
        "delivery": {
            "port": ports.remote_smtp,
            "allow_private": True,
            "retry": ["5s", "15s", "1m"],
            "expire": "3m",
            "helo": f"mx.{OURS}",
        },
        "outbound": {
            "domains": {OURS: {"dkim": [{"selector": SELECTOR, "key_file": str(key_file(folder, OURS))}]}},
            "credentials": [{"user": "app", "password_file": str(folder / "secrets" / "app"), "domains": [OURS]}],
            "quotas": [{"domain": OURS, "per": "day", "limit": 100000}],
        },
        "channels": {
            "helpdesk": {"address": f"support@{OURS}"},
            "newsletters": {"address": f"news@{OURS}"},
            "it-mailbox": {
                "imap": f"imap://{MAILBOX_USER}@127.0.0.1:{ports.mailbox}",
                "password_file": str(folder / "secrets" / "mailbox"),
                "address": MAILBOX_ADDRESS,
                "trusted_authserv_id": MAILBOX_HOST,
                "handle": "desk",
            },
        },
    }


def key_file(folder: Path, domain: str) -> Path:
    """Where a domain's private DKIM key is."""
    return folder / "keys" / f"{domain}.pem"


def read_keys(folder: Path) -> dict[str, bytes]:
    """Every domain's private DKIM key in PEM."""
    return {path.stem: path.read_bytes() for path in (folder / "keys").glob("*.pem")}


def read_secret(folder: Path, name: str) -> str:
    """One of the demo's secrets."""
    return (folder / "secrets" / name).read_text().strip()


def rsa_key() -> bytes:
    """A new private DKIM key in PEM."""
    key = rsa.generate_private_key(65537, 2048)
    # PKCS#1: what every DKIM signer reads.
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _certificate() -> bytes:
    """Key and self-signed certificate of the remote servers, in one PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(f"mx.{domain.name}") for domain in DOMAINS]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0].value)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(days=1),
        now + timedelta(days=3650),
    ).add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + builder.sign(
        key, hashes.SHA256()
    ).public_bytes(Encoding.PEM)


def _write_secret(path: Path, content: bytes) -> None:
    """Whole or not at all, for the owner only."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(path)
