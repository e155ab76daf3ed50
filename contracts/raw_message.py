"""A record of `mail.raw`: the message's octets as the value, its envelope in the headers (CloudEvents binary mode).

(CloudEvents Kafka protocol binding 1.0 section 3.2.) A message above the claim-check limit is in the blob store; the
record's value is then empty and `ce_dataref` names the blob.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from contracts import clock
from contracts.errors import InvalidEvent
from contracts.metadata import Metadata
from contracts.notices import Notices
from contracts.records import Headers
from contracts.rounds import Round
from contracts.statuses import Direction, Reason


class RawType(StrEnum):
    ACCEPTED = "mailscope.raw.accepted.v1"  # inbound: the whole message, before the receiver answers
    SUBMITTED = "mailscope.raw.submitted.v1"  # outbound: the whole message, signed
    REFUSED = "mailscope.raw.refused.v1"  # inbound: refused before DATA; there is no message
    AGAIN = "mailscope.raw.again.v1"  # the whole message once more: somebody wants it redelivered to these recipients
    ANSWERED = (
        "mailscope.raw.answered.v1"  # inbound: the receiver's word that it answered without the verdict; no message
    )


class Blob(Struct, frozen=True, kw_only=True):
    """A claim check: where a large message is."""

    url: str
    sha256: str


class Refusal(Struct, frozen=True, kw_only=True):
    """An address that the receiver does not take: what it answers at RCPT, and why."""

    reply: str
    reason: Reason
    more: int = (
        0  # recipients of the same peer that were answered alike within a minute, and have no record of their own
    )


POLLED = "IMAP"  # the protocol of what was found in a mailbox
OWN_REPORT = "a delivery report"  # the protocol of what we hand over to ourselves


class Envelope(Metadata, frozen=True, kw_only=True):
    """Everything about a message that is not in its octets."""

    mail_id: str
    type: RawType
    direction: Direction
    received_at: datetime
    envelope_from: str  # "" is the null sender
    recipients: list[str]
    size: Annotated[int, Meta(ge=0)] = 0  # octets of the message
    peer_ip: str = ""
    helo: str = ""
    protocol: str = ""  # SMTP, ESMTP, ESMTPS ... (RFC 3848), or HTTP
    tls: str = ""  # version and cipher; "" is a connection in the clear
    user: str = ""  # who authenticated: credential or token name
    receiver: str = ""  # the host name that the receiver announced
    smtputf8: bool = False
    verdict_partition: int | None = None  # where the receiver waits for the verdict; null: nobody waits
    answered: str = ""  # what the sender has heard already; "" while it waits for the verdict
    refusal: Refusal | None = None
    notices: dict[str, Notices] = field(
        default_factory=dict
    )  # by recipient: the reports that its submitter has asked for
    again: dict[str, Round] = field(default_factory=dict)  # by recipient: the redeliveries that AGAIN asks for
    blob: Blob | None = None
    channel: str = ""  # of a polled mailbox; "" where the recipient says it
    repeated: bool = False  # the same mail may stand in a record before this one

    @property
    def polled(self) -> bool:
        """Whether it was found in a mailbox: its peer is not who sent it, and nobody waits for an answer."""
        return self.protocol == POLLED

    @property
    def is_own_report(self) -> bool:
        """Whether it is a report that we write ourselves: no door hands one over, whatever its sender."""
        return not self.envelope_from and self.protocol == OWN_REPORT


# Records of these types have a message.
WITH_MESSAGE = frozenset({RawType.ACCEPTED, RawType.SUBMITTED})

ENVELOPE = "mailscope-envelope"  # the Kafka header that holds it
_decoder = msgspec.json.Decoder(Envelope)


def accepted_reply(mail_id: str) -> str:
    """The SMTP reply that takes responsibility for a mail (RFC 5321 section 4.2.5), whoever gives it."""
    return f"250 2.0.0 Accepted as {mail_id}"


def encode_headers(envelope: Envelope, source: str) -> Headers:
    """The Kafka headers of one record of `mail.raw`."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.mail_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", clock.rfc3339(envelope.received_at).encode()),
        ("content-type", b"message/rfc822"),
        (ENVELOPE, msgspec.json.encode(envelope)),
    ]
    if envelope.blob is not None:
        headers.append(("ce_dataref", envelope.blob.url.encode()))
    return headers


def decode_headers(headers: Headers | None) -> Envelope:
    """The envelope of one record of `mail.raw`. InvalidEvent when it is missing or wrong."""
    for name, value in headers or []:
        if name == ENVELOPE:
            try:
                return _decoder.decode(value)
            except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
                raise InvalidEvent("wrong_envelope", str(error)) from error
    raise InvalidEvent("no_envelope", "the record has no mailscope-envelope header")
