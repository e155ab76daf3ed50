"""DANE for SMTP (RFC 7672): signed DNS says which certificates a server has, so that nobody between can take encryption off.

Signatures are verified by the resolver, which says so in its answers (AD, RFC 4035 section 3.2.3). Without that, none of this applies.
"""

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    DNSName,
    SubjectAlternativeName,
    load_der_x509_certificate,
)
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from contracts.dns_answers import DnsStatus, Resolver

_TRUST_ANCHOR, _END_ENTITY = 2, 3  # usages that SMTP has (RFC 7672 section 3.1)
MOST_RECORDS = 20
_DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lambda octets: sha256(octets).digest(),
    2: lambda octets: sha512(octets).digest(),
}
# Beside names, times and signatures: an authority of a domain's own need not be as those of the web are.
_ISSUER = ExtensionPolicy.permit_all().require_present(BasicConstraints, Criticality.AGNOSTIC, None)
_SERVER = ExtensionPolicy.permit_all().require_present(SubjectAlternativeName, Criticality.AGNOSTIC, None)


class DaneFailed(ssl.SSLError):
    """The certificates are none that the domain has published."""


class DaneUnknown(Exception):
    """Whether the server has such records could not be learnt: it is not connected to now (RFC 7672 section 2.2)."""


@dataclass(frozen=True)
class Tlsa:
    """One usable record (RFC 6698 section 2.1)."""

    usage: int
    selector: int  # 0: the certificate, 1: its public key
    matching: int  # 0: as it is, 1: SHA-256, 2: SHA-512
    data: bytes

    def matches(self, certificate: Certificate) -> bool:
        """Whether this certificate is meant."""
        octets = (
            certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if self.selector
            else certificate.public_bytes(Encoding.DER)
        )
        return _DIGESTS[self.matching](octets) == self.data


@dataclass(frozen=True)
class Dane:
    """What a server's domain has published. Without usable records any certificate will do, but it has to be encrypted (section 2.2)."""

    records: tuple[Tlsa, ...]
    domain: str = ""  # that the mail is for: a certificate of an authority may name it as well (section 3.2.2)

    def verify(self, chain: Sequence[bytes], host: str) -> None:
        """DaneFailed unless a record holds for the chain (DER, the server's own first)."""
        if not self.records:
            return
        why = ""
        for record in self.records:
            try:
                if self._holds(record, [load_der_x509_certificate(octets) for octets in chain[:10]], host):
                    return
            except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:  # another record may do without it
                why = f" ({error})"
        raise DaneFailed(f"no certificate of {host} is one that its TLSA records name{why}")

    def _holds(self, record: Tlsa, chain: list[Certificate], host: str) -> bool:
        if record.usage == _END_ENTITY:  # neither its name nor its time matters (section 3.1.1)
            return bool(chain) and record.matches(chain[0])
        for anchor in chain[1:]:
            if record.matches(anchor):
                policy = PolicyBuilder().store(Store([anchor])).extension_policies(ca_policy=_ISSUER, ee_policy=_SERVER)
                for name in filter(None, (host, self.domain)):
                    with suppress(VerificationError):
                        policy.build_server_verifier(DNSName(name)).verify(chain[0], chain[1:])
                        return True
        return False


async def find_dane(host: str, port: int, resolver: Resolver, domain: str = "") -> Dane | None:
    """What holds for a server of which an authentic MX answer gave the name and authentic answers the addresses. None: nothing. DaneUnknown
    when DNS does not say."""
    answer = await resolver.query(f"_{port}._tcp.{host}", "TLSA")
    if answer.failed:
        raise DaneUnknown(f"the TLSA records of {host} could not be read ({answer.status.value})")
    if answer.status is not DnsStatus.OK or not answer.authentic:
        return None
    found = (_read(text) for text in answer.values()[:MOST_RECORDS])
    return Dane(tuple(record for record in found if record is not None), domain)


def chain_of(connection: Any) -> list[bytes]:
    """The certificates that the other side of a TLS connection (ssl.SSLObject) has shown, in DER, its own first."""
    shown = getattr(connection, "get_unverified_chain", None)  # Python 3.13
    if shown is not None:
        return list(shown())
    return [one.public_bytes(ssl._ssl.ENCODING_DER) for one in connection._sslobj.get_unverified_chain()]  # type: ignore[attr-defined]


def _read(text: str) -> Tlsa | None:
    """A record as DNS writes it; None where it is none that can be used."""
    fields = text.split()
    try:
        usage, selector, matching = (int(field) for field in fields[:3])
        data = bytes.fromhex("".join(fields[3:]))
    except ValueError:
        return None
    usable = usage in (_TRUST_ANCHOR, _END_ENTITY) and selector in (0, 1) and matching in _DIGESTS and data
    return Tlsa(usage, selector, matching, data) if usable else None
