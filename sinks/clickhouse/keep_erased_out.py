"""What of a record may stand in the log, when addresses were erased: mail of an erased address does not come back from Kafka.

An erasure is about mail that had come when it was asked for. Records of later mail are not looked at, so that this costs nothing
except in a rebuild and for late news.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec

from contracts import clock
from contracts.audit import AuditEntry
from contracts.erasures import ERASED, Erasure, digest_of
from contracts.events import MailEvent
from contracts.ids import received_ms
from contracts.raw_message import Envelope
from mail.redact_addresses import redact_addresses

HEADER_OCTETS = 1 << 20  # of a message, in which its header ends


class Erasures(Protocol):
    """What is known of erased addresses, by digest; `version` is another number after each change."""

    @property
    def version(self) -> int: ...

    def snapshot(self) -> Mapping[str, Erasure]: ...


class ErasedAddresses:
    """Safe for threads."""

    def __init__(self, erasures: Erasures, secret: bytes) -> None:
        self._erasures = erasures
        self._digest = lru_cache(maxsize=50_000)(lambda address: digest_of(secret, address))
        self._known: tuple[int, dict[str, int], int] = (
            -1,
            {},
            0,
        )  # version, by digest: until when in ms, the newest of these

    def event(self, event: MailEvent) -> MailEvent | None:
        """The event as the log may have it: without erased addresses, and None for mail that was for or from one."""
        at = received_ms(event.mail_id)
        if not self._covers(at):
            return event
        if any(self._is_erased(one, at) for one in (event.recipient, event.mail.from_, event.mail.envelope_from)):
            return None
        plain = msgspec.to_builtins(event)
        redacted = self._redact(plain, at)
        return event if redacted == plain else msgspec.convert(redacted, MailEvent, strict=False)

    def names_in_headers(self, event: MailEvent) -> bool:
        """Whether the header of its message names an erased address."""
        at = received_ms(event.mail_id)
        return self._covers(at) and any(self.text(value, at) != value for _, value in event.headers)

    def keeps_message(self, envelope: Envelope, content: bytes) -> bool:
        """Whether a message may stand in the log: not one that was for or from an erased address, or whose header names it."""
        at = received_ms(envelope.mail_id)
        if not self._covers(at):
            return True
        if any(self._is_erased(one, at) for one in (envelope.envelope_from, *envelope.recipients)):
            return False
        header = content[:HEADER_OCTETS].partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        return self.text(header, at) == header

    def audit_entry(self, entry: AuditEntry) -> AuditEntry:
        """The act without erased addresses."""
        at = clock.to_ms(entry.at)
        # A search that was exported stands there as the browser sent it.
        told = any(self.text(one, at) != one for one in (entry.detail, unquote(entry.detail)))
        return msgspec.structs.replace(
            entry, recipient=self.text(entry.recipient, at), detail=ERASED if told else entry.detail
        )

    def text(self, text: str, at: int) -> str:
        """A text of this time (ms) without erased addresses."""
        return redact_addresses(text, lambda one: self._is_erased(one, at), ERASED) if self._covers(at) else text

    def _covers(self, at: int) -> bool:
        return at < self._look()[2]

    def _is_erased(self, address: str, at: int) -> bool:
        return bool(address) and at < self._look()[1].get(self._digest(address), 0)

    def _look(self) -> tuple[int, dict[str, int], int]:
        version = self._erasures.version
        if self._known[0] != version:
            until = {digest: clock.to_ms(one.asked_at) for digest, one in self._erasures.snapshot().items()}
            self._known = (version, until, max(until.values(), default=0))
        return self._known

    def _redact(self, value: Any, at: int) -> Any:
        if isinstance(value, str):
            return self.text(value, at)
        if isinstance(value, dict):
            return {name: self._redact(one, at) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._redact(one, at) for one in value]
        return value


class _None:
    version = 0

    def snapshot(self) -> Mapping[str, Erasure]:
        return {}


NOTHING_ERASED = ErasedAddresses(_None(), b"")
