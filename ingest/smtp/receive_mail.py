"""Receiving mail from other servers: what is answered to MAIL, RCPT and the content, and what is held in Kafka."""

import asyncio
import logging
from datetime import datetime

import msgspec

from contracts import clock, metrics
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import Verdict
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType, Refusal, accepted_reply
from contracts.settings import Settings
from contracts.statuses import Direction
from ingest.await_verdict import VerdictWaiter
from ingest.hold_message import MessageHolder
from ingest.smtp.accept_recipient import accept_recipient
from ingest.smtp.limit_rates import AN_HOUR, RateLimit
from ingest.smtp.log_refusals import RefusalLog
from ingest.smtp.read_notices import NO_OPTIONS, Options
from ingest.smtp.transaction import TROUBLE, Peer
from mail.addresses import normalise
from mail.bounce_address import BounceAddresses
from runtime.expose_metrics import counter, histogram
from runtime.name_peer import name_peer
from runtime.watch_disk import DiskRoom

_log = logging.getLogger("mailscope.smtp")
ANSWER_WITHIN = 2.0  # seconds that the note of an answer may take
BEHIND = "451 4.3.2 Too much mail waits here already, try again later"
_TOO_LARGE = "552 5.3.4 The message is too large to be held with its envelope"
_NO_ROOM = "452 4.3.1 The disk here is nearly full, try again later"
TOO_MANY_REPORTS = "451 4.7.1 Too many reports for now, try again later"
_OTHER_POLICY = "452 4.5.3 This recipient has another policy, send it in another transaction"


class MailReceiver:
    """The purpose of a server that other servers send to; what its transactions share."""

    offers_notices = False

    def __init__(
        self, settings: Settings, holder: MessageHolder, verdicts: VerdictWaiter, bounces: BounceAddresses
    ) -> None:
        self.settings = settings
        self.holder = holder
        self.verdicts = verdicts
        self.bounces = bounces
        self.closed = False  # what was taken waits too long for the processors: no more is taken
        self.refusals = RefusalLog(self._log_refusal)
        self._being_logged: set[asyncio.Task[None]] = set()
        self._reports_of_peer = RateLimit(settings.smtp.reports_per_peer, AN_HOUR)
        self._reports_to = RateLimit(settings.smtp.reports_per_sender, AN_HOUR)
        self._has_room = DiskRoom(settings.data_dir, settings.min_free_disk)

    def mail(self, peer: Peer, envelope_from: str, options: Options = NO_OPTIONS) -> "InboundTransaction | str":
        """Any sender may ask, while there is room; what it may send is decided by recipient, and by the verdict."""
        if self.closed:
            return BEHIND
        if not self._has_room():
            return _NO_ROOM
        return InboundTransaction(self, peer, envelope_from)

    def may_report(self, ip: str, origin: str) -> bool:
        """Whether this peer may send one more report about a forward to its first sender, in whatever spelling it is rewritten."""
        peer = name_peer(ip)
        if self._reports_of_peer.take(peer) and self._reports_to.take(origin.lower()):
            return True
        counter(metrics.SMTP_LIMITED).labels("reports").inc()
        return False

    def _log_refusal(self, envelope: Envelope) -> None:
        """A refused recipient is a row of the log too; the dialogue does not wait for it."""
        task = asyncio.get_running_loop().create_task(self._hold_refusal(envelope))
        self._being_logged.add(task)
        task.add_done_callback(self._being_logged.discard)

    async def log_answer(self, envelope: Envelope) -> None:
        """Write down that this was answered without the verdict, before it is; without Kafka it is answered all the same."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self.holder.hold(envelope, b"")
        except (TimeoutError, Unavailable) as error:
            _log.warning("%s is answered without the verdict, and the log may not say so: %s", envelope.mail_id, error)

    async def drain(self) -> None:
        """Wait for the refusals that are still being written."""
        self.refusals.flush()
        if self._being_logged:
            await asyncio.wait(self._being_logged, timeout=2)

    async def _hold_refusal(self, envelope: Envelope) -> None:
        try:
            await self.holder.hold(envelope, b"")
        except Unavailable as error:
            _log.error("a refused recipient is missing from the log: %s", error)


class InboundTransaction:
    """One mail on its way in."""

    def __init__(self, receiver: MailReceiver, peer: Peer, envelope_from: str) -> None:
        self.recipients: list[str] = []
        self._receiver = receiver
        self._peer = peer
        self._envelope_from = envelope_from
        self._policy: tuple[object, ...] = ()
        self._mail_id = ""
        self._expected: asyncio.Future[Verdict | None] | None = None

    def rcpt(self, address: str, options: Options = NO_OPTIONS) -> str | Refusal:
        """Recipients of one transaction share a policy, since one reply is for all of them."""
        receiver = self._receiver
        decision = accept_recipient(address, self._envelope_from, receiver.settings, receiver.bounces, clock.now())
        if isinstance(decision, Refusal):
            counter(metrics.SMTP_REFUSED_RECIPIENTS).labels(decision.reason).inc()
            refused = self._describe(new_mail_id(), clock.now(), RawType.REFUSED, [normalise(address)])
            receiver.refusals.add(msgspec.structs.replace(refused, refusal=decision))
            return decision
        if self.recipients and self._policy != decision.policy:
            return _OTHER_POLICY
        if decision.origin and not receiver.may_report(self._peer.ip, decision.origin):
            return TOO_MANY_REPORTS
        self._policy = decision.policy
        if decision.address not in self.recipients:
            self.recipients.append(decision.address)
        return "250 2.1.5 Recipient ok"

    async def hold(self, message: bytes) -> str:
        """Held means acknowledged by Kafka; without that, 451, or 552 when no broker would ever take it."""
        verdicts = self._receiver.verdicts
        self._mail_id, waiting = new_mail_id(), verdicts.waiting
        envelope = self._describe(
            self._mail_id, clock.now(), RawType.ACCEPTED, [normalise(address) for address in self.recipients]
        )
        envelope = msgspec.structs.replace(
            envelope,
            size=len(message),
            verdict_partition=verdicts.partition if verdicts.timeout > 0 else None,
            answered="" if waiting else accepted_reply(self._mail_id),
        )
        self._expected = verdicts.expect(self._mail_id) if waiting else None
        try:
            with histogram(metrics.SMTP_ACK_SECONDS).time():
                await self._receiver.holder.hold(envelope, message)
        except BaseException as error:
            verdicts.forget(self._mail_id)
            return _reply_to(error)
        counter(metrics.SMTP_OCTETS).inc(len(message))
        return ""

    async def verdict(self) -> str:
        """What the processors say, or 250 when they do not say it in time: we have the message."""
        accepted = accepted_reply(self._mail_id)
        if self._expected is None:
            return accepted
        said = await self._receiver.verdicts.verdict_on(self._mail_id, self._expected)
        if said is None:  # a refusal that comes after this is late, and only we know
            note = self._describe(self._mail_id, clock.now(), RawType.ANSWERED, [])
            await self._receiver.log_answer(msgspec.structs.replace(note, answered=accepted))
        return said.reply if said is not None else accepted

    def _describe(self, mail_id: str, received_at: datetime, type: RawType, recipients: list[str]) -> Envelope:
        return Envelope(
            mail_id=mail_id,
            type=type,
            direction=Direction.INBOUND,
            received_at=received_at,
            envelope_from=self._envelope_from,
            recipients=recipients,
            peer_ip=self._peer.ip,
            helo=self._peer.helo,
            protocol=self._peer.protocol,
            tls=self._peer.tls,
            user=self._peer.user,
            receiver=self._receiver.settings.authserv_id,
            smtputf8=self._peer.smtputf8,
        )


def _reply_to(error: BaseException) -> str:
    if isinstance(error, Unavailable):
        _log.error("answered 451: %s", error)
        return TROUBLE
    if isinstance(error, InvalidEvent) and error.reason == "record_too_large":
        _log.warning("answered 552: %s", error)
        return _TOO_LARGE
    raise error
