"""The zones of the demo internet as master files (RFC 1035 §5): addresses, MX, SPF, DKIM, DMARC, names. Pure."""

import base64
from collections.abc import Mapping

import dns.name
import dns.zone
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from local.demo.cast import DOMAINS, HIJACKER_ADDRESS, IMPOSTOR_ADDRESS, MAIL_HOST_ADDRESS, OURS, SELECTOR

HEAD = "$TTL 60\n@ SOA ns.example.com. hostmaster.example.com. 1 3600 600 86400 30\n@ NS ns.example.com.\n"


def dkim_record(private_key: bytes) -> str:
    """The DKIM key record (RFC 6376 §3.6.1) of a private key in PEM."""
    public = load_pem_private_key(private_key, None).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def zones(keys: Mapping[str, bytes]) -> list[dns.zone.Zone]:
    """All zones; `keys` holds each domain's private DKIM key in PEM."""
    texts = {
        OURS: _mail_zone(keys[OURS], MAIL_HOST_ADDRESS, MAIL_HOST_ADDRESS, "v=DMARC1; p=quarantine", "-all")
        + "ns A 127.0.0.1\n"
    }
    for domain in DOMAINS:
        text = _mail_zone(keys[domain.name], domain.receives_at, domain.sends_from, domain.dmarc, domain.spf_all)
        texts[domain.name] = text
    texts["nomail.example"] = '@ MX 0 .\n@ TXT "v=spf1 -all"\n'
    texts["127.in-addr.arpa"] = _reverse_zone()
    texts["evil.example"] = f"host A {IMPOSTOR_ADDRESS}\npool A {HIJACKER_ADDRESS}\n"
    return [
        dns.zone.from_text(HEAD + text, origin=dns.name.from_text(name), relativize=False)
        for name, text in texts.items()
    ]


def _mail_zone(key: bytes, receives_at: str, sends_from: str, dmarc: str, spf_all: str) -> str:
    sender = "" if sends_from == receives_at else f"out A {sends_from}\n"
    return (
        f"@ MX 10 mx\nmx A {receives_at}\n{sender}"
        f"@ TXT {_quoted(f'v=spf1 ip4:{sends_from} {spf_all}')}\n"
        f"_dmarc TXT {_quoted(dmarc)}\n"
        f"{SELECTOR}._domainkey TXT {_quoted(dkim_record(key))}\n"
    )


def _reverse_zone() -> str:
    names = {
        MAIL_HOST_ADDRESS: f"mx.{OURS}",
        IMPOSTOR_ADDRESS: "host.evil.example",
        HIJACKER_ADDRESS: "pool.evil.example",
    }
    for domain in DOMAINS:
        names[domain.sends_from] = f"out.{domain.name}"
        names[domain.receives_at] = f"mx.{domain.name}"
    lines = []
    for address, name in names.items():
        _, second, third, fourth = address.split(".")
        lines.append(f"{fourth}.{third}.{second} PTR {name}.\n")
    return "".join(lines)


def _quoted(value: str) -> str:
    """A TXT value as character strings of at most 255 octets (RFC 1035 §3.3)."""
    return " ".join(f'"{value[i : i + 250]}"' for i in range(0, len(value), 250))
