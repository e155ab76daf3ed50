"""What is put before a mail of a stream that can be unsubscribed from: List-Unsubscribe and List-Unsubscribe-Post (RFC 8058), for each
recipient its own, and a DKIM signature that covers them (section 4), beside the one that the mail has."""

from collections.abc import Callable

from contracts.raw_message import Envelope
from contracts.settings import Settings
from mail.authentication.sign_dkim import hash_of, read_domain_keys, sign_fields, signed_names
from mail.bounce_address import BounceAddresses
from mail.parse_headers import Field, Message
from mail.unsubscribe_link import UnsubscribeLinks, Unsubscription

WriteOffer = Callable[[str], str]  # recipient -> header lines
_FIELDS = (b"list-unsubscribe", b"list-unsubscribe-post")


class UnsubscribeOffers:
    """Writes the head. ConfigurationError when a DKIM key cannot be used."""

    def __init__(self, settings: Settings, key: bytes) -> None:
        self._settings = settings
        self._links = UnsubscribeLinks(key)
        self._bounces = BounceAddresses(key)
        self._keys = read_domain_keys(settings.outbound.key_files)

    def of(self, envelope: Envelope, message: Message, domain: str) -> WriteOffer:
        """The offer on one mail of this author's domain, for each of its recipients; "" where its stream makes none, it is a report, or the
        application wrote a List-Unsubscribe of its own. Signing takes a millisecond for each recipient and key."""
        stream = self._settings.outbound.streams.get(envelope.stream)
        if stream is None or not stream.unsubscribe or not envelope.envelope_from or message.all(b"list-unsubscribe"):
            return lambda recipient: ""
        keys = self._keys.get(domain, [])
        body = hash_of(message) if keys else ""

        def head(recipient: str) -> str:
            fields = [_field(name, value) for name, value in self._fields(envelope, recipient, domain)]
            signed = message._replace(fields=[*fields, *message.fields])
            names = [name for name in signed_names(message) if name not in _FIELDS] + list(_FIELDS)
            octets = b"".join(
                sign_fields(
                    b"DKIM-Signature",
                    f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={domain}; s={selector}; t={int(envelope.received_at.timestamp())}",
                    signed,
                    names,
                    key,
                    body,
                )
                for selector, key in keys
            )
            return (octets + b"".join(field.raw + b"\r\n" for field in fields)).decode("ascii")

        return head

    def _fields(self, envelope: Envelope, recipient: str, domain: str) -> list[tuple[str, str]]:
        token = self._links.token(Unsubscription(envelope.mail_id, recipient, envelope.stream))
        ways = [f"<{self._settings.console.base_url}/u/{token}>"]
        if domain in self._settings.inbound.domains:
            ways.append(
                f"<mailto:{self._bounces.unsubscribe(envelope.mail_id, recipient, domain)}?subject=unsubscribe>"
            )
        return [
            ("List-Unsubscribe", ",\r\n\t".join(ways)),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]


def _field(name: str, value: str) -> Field:
    return Field(name.lower().encode(), f"{name}: {value}".encode(), len(name))
