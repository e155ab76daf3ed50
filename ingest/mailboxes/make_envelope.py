"""What is said of a polled mail beside its octets, and by what it is known again."""

import hashlib

from contracts.clock import from_ms
from contracts.ids import received_ms
from contracts.raw_message import POLLED, Envelope, RawType, Refusal
from contracts.setting_types import MailboxPlace
from contracts.statuses import Direction
from mail.addresses import MAX_ADDRESS, is_address, normalise
from mail.parse_headers import Message


class Envelopes:
    """Makes the envelopes of one channel. The time is the one inside the mail_id, so that a repetition says the same."""

    def __init__(self, channel: str, recipient: str, receiver: str) -> None:
        self._channel = channel
        self._recipient = normalise(recipient)
        self._receiver = receiver

    def accepted(self, mail_id: str, message: Message, size: int, *, repeated: bool) -> Envelope:
        """Of a mail that is taken."""
        return self._make(mail_id, RawType.ACCEPTED, size, return_path(message), None, repeated)

    def refused(self, mail_id: str, size: int, refusal: Refusal, *, repeated: bool) -> Envelope:
        """Of one that is left where it is."""
        return self._make(mail_id, RawType.REFUSED, size, "", refusal, repeated)

    def _make(
        self, mail_id: str, type: RawType, size: int, sender: str, refusal: Refusal | None, repeated: bool
    ) -> Envelope:
        return Envelope(
            mail_id=mail_id,
            type=type,
            direction=Direction.INBOUND,
            received_at=from_ms(received_ms(mail_id)),
            envelope_from=sender,
            recipients=[self._recipient],
            size=size,
            protocol=POLLED,
            receiver=self._receiver,
            refusal=refusal,
            channel=self._channel,
            repeated=repeated,
        )


def return_path(message: Message) -> str:
    """The envelope sender, as the server that delivered the mail wrote it on top (RFC 5321 section 4.4); "" where it did not: below the
    first Received anybody may have written it."""
    for field in message.fields:
        if field.name == b"received":
            return ""
        if field.name == b"return-path":
            found = normalise(field.text()[: MAX_ADDRESS + 2].strip().strip("<>"))
            return found if is_address(found) else ""
    return ""


def digest_of(message: Message, octets: bytes) -> str:
    """By what a mail is known again: its Message-ID and its octets, in hexadecimal."""
    ids = message.all(b"message-id")
    found = hashlib.sha256((ids[0].value if ids else b"") + b"\0")
    found.update(octets)
    return found.hexdigest()[:32]


def name_mailbox(place: MailboxPlace) -> str:
    """Which mailbox it is: a digest of server, user and folder."""
    return hashlib.sha256(f"{place.host.lower()}:{place.port}/{place.user}/{place.folder}".encode()).hexdigest()[:16]
