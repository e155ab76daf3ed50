"""Submission (RFC 6409): an application that has logged in hands a mail over, by the same way as over HTTP (`ingest/send/send.py`)."""

import logging
import re
from dataclasses import dataclass
from email.utils import format_datetime

from contracts import clock
from contracts.errors import InvalidEvent, Unavailable
from contracts.notices import Notices
from contracts.raw_message import accepted_reply
from contracts.settings import Settings
from ingest.send.outgoing import InvalidMail, Outgoing
from ingest.send.send import Handover, Held, Sender
from ingest.smtp.know_users import Logins
from ingest.smtp.read_notices import Options, notices_of
from ingest.smtp.transaction import TROUBLE, Peer
from mail.addresses import is_address, split_address
from runtime.watch_disk import DiskRoom

_log = logging.getLogger("mailscope.submission")
MAX_RECEIVED = 100  # hops after which a mail goes round in a circle
_NO_ROOM = "452 4.3.1 The disk here is nearly full, try again later"
_TOO_LARGE = "552 5.3.4 The message is too large to be held with its envelope"
_ENHANCED = {"message_too_large": "552 5.3.4", "forbidden_domain": "550 5.7.1", "configuration_error": "550 5.7.1"}
_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)


class Submission:
    """The purpose of the server that our applications submit to."""

    offers_notices = True

    def __init__(self, settings: Settings, sender: Sender, logins: Logins) -> None:
        self.settings = settings
        self.sender = sender
        self.logins = logins
        self._has_room = DiskRoom(settings.data_dir, settings.min_free_disk)

    def mail(self, peer: Peer, envelope_from: str, options: Options) -> "SubmissionTransaction | str":
        """Who has logged in may send from its domains; the null sender is for reports of theirs."""
        if not self._has_room():
            return _NO_ROOM
        domain = split_address(envelope_from)[1]
        allowed = self.logins.domains(peer.user)
        if envelope_from and domain not in allowed:
            return f"550 5.7.1 {peer.user} may not send from {domain or 'this address'}"
        return SubmissionTransaction(self, peer, envelope_from, allowed, options)


@dataclass
class SubmissionTransaction:
    """One mail that is being submitted."""

    _server: Submission
    _peer: Peer
    _envelope_from: str
    _allowed: frozenset[str]
    _options: Options

    def __post_init__(self) -> None:
        self.recipients: list[str] = []
        self._notices: dict[str, Notices] = {}
        self._held: Held | None = None

    def rcpt(self, address: str, options: Options) -> str:
        """Any address may be sent to; whether it is, the processors decide."""
        if not is_address(address):
            return "553 5.1.3 This is no mail address"
        if address not in self.recipients:
            self.recipients.append(address)
            if (asked := notices_of(self._options, options)) is not None:
                self._notices[address] = asked
        return "250 2.1.5 Recipient ok"

    async def hold(self, message: bytes) -> str:
        """Built, signed and held in Kafka; what cannot be sent as it is says why (550), and without Kafka it is 451."""
        if len(_RECEIVED.findall(message.partition(b"\r\n\r\n")[0])) > MAX_RECEIVED:
            return "554 5.4.6 The message goes round in a circle"
        peer = self._peer
        handover = Handover(peer.protocol, peer.user, peer.ip, peer.helo, peer.tls, peer.smtputf8, self._notices)
        mail = Outgoing(self._envelope_from, tuple(self.recipients), raw=self._trace() + message)
        try:
            self._held = await self._server.sender.hold(mail, handover, allowed=self._allowed)
        except InvalidMail as why:
            return f"{_ENHANCED.get(why.code, '550 5.6.0')} {_one_line(f'{why.field}: {why.message}')}"
        except Unavailable as error:
            _log.error("answered 451: %s", error)
            return TROUBLE
        except InvalidEvent as error:
            if error.reason != "record_too_large":
                raise
            return _TOO_LARGE
        return ""

    async def verdict(self) -> str:
        """Which recipients get nothing; without a word about that in time, only the log tells."""
        assert self._held is not None
        said = await self._server.sender.verdict(self._held)
        return said.reply if said is not None else accepted_reply(self._held.mail_id)

    def _trace(self) -> bytes:
        """Our Received (RFC 5321 section 4.4). Who submitted is in the log, and for nobody else to read."""
        by, protocol = self._server.settings.authserv_id, self._peer.protocol
        return f"Received: by {by} with {protocol};\r\n\t{format_datetime(clock.now())}\r\n".encode()


def _one_line(text: str) -> str:
    return "".join(one if " " <= one <= "~" else "?" for one in text)[:400]
