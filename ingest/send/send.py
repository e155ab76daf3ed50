"""The send hook: an application hands a mail over, and from then on it is ours (Python door; send_http.py is the HTTP door, and
ingest/smtp/submit_mail.py the one of SMTP)."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import msgspec

from contracts import clock, metrics, topics
from contracts.errors import Unavailable
from contracts.events import RecipientState, Verdict
from contracts.ids import new_mail_id
from contracts.metadata import metadata_of
from contracts.notices import Notices
from contracts.raw_message import Envelope, RawType
from contracts.settings import Settings
from contracts.statuses import Direction, Status
from ingest.await_verdict import VerdictWaiter
from ingest.hold_message import MessageHolder
from ingest.send.build_message import Built, as_recipient, build_message, recipients_of
from ingest.send.outgoing import InvalidMail, Outgoing
from mail.addresses import split_address
from mail.authentication.sign_dkim import read_domain_keys, sign_dkim
from mail.authentication.strip_auth_results import is_ours
from runtime.blobs import open_blobs
from runtime.expose_metrics import counter
from runtime.publish import Publisher

DETAILS = 4096  # characters about refused recipients that are remembered with an Idempotency-Key
BUILT = 2  # messages at a time that are built and signed


@dataclass(frozen=True)
class Handover:
    """How a mail came to us."""

    protocol: str  # HTTP, or a word of RFC 3848 such as ESMTPSA
    user: str = ""  # the token's name, or the credential's
    peer_ip: str = ""
    helo: str = ""
    tls: str = ""  # version and cipher; "" is a connection in the clear
    smtputf8: bool = False  # asked for in MAIL
    notices: Mapping[str, Notices] = field(default_factory=dict)  # reports that are asked for, by recipient


@dataclass(frozen=True)
class Held:
    """A mail that is in Kafka, and the verdict that is still to come; None where nobody waits for one."""

    mail_id: str
    recipients: tuple[str, ...]
    expected: asyncio.Future[Verdict | None] | None


class Sent(msgspec.Struct, frozen=True):
    """The answer to a hand-over: the mail's id, given once, and each recipient's state."""

    mail_id: str
    recipients: list[RecipientState]


def to_remember(sent: Sent) -> str:
    """The answer as it is kept for a day: without the recipients that the request names and that are simply `sent`, which may be
    hundreds of kilobytes."""
    kept = [one for one in sent.recipients if one.status is not Status.SENT]
    if sum(len(one.detail) for one in kept) > DETAILS:
        kept = [msgspec.structs.replace(one, detail="") for one in kept]
    return msgspec.json.encode(Sent(sent.mail_id, kept)).decode()


def recall(answer: str, mail: Outgoing) -> Sent:
    """The answer that was given to this request, from what was kept of it. InvalidMail and msgspec.DecodeError: it is of another one."""
    sent = msgspec.json.decode(answer, type=Sent)
    known = {one.recipient: one for one in sent.recipients}
    return Sent(sent.mail_id, [known.get(one) or _sent_to(one) for one in recipients_of(mail)])


def _sent_to(recipient: str) -> RecipientState:
    return RecipientState(recipient=recipient, status=Status.SENT)


class Sender:
    """Checks, signs and publishes outbound mail. A mail that `send` returned for is in Kafka."""

    def __init__(self, settings: Settings, publisher: Publisher, verdicts: VerdictWaiter | None = None) -> None:
        """ConfigurationError when a DKIM key cannot be used. `verdicts`: where to hear which recipients get nothing; without it, only the
        log tells."""
        self._settings = settings
        self._verdicts = verdicts
        self._holder = MessageHolder(publisher, open_blobs(settings), settings.blobs.threshold)
        self._publisher = publisher
        self._room = asyncio.Semaphore(BUILT)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by user
        self._keys = read_domain_keys(settings.outbound.key_files)

    async def start(self) -> None:
        """Warm the producer up. Unavailable when Kafka does not answer."""
        await self._publisher.warm_up(topics.RAW)

    async def send(
        self, mail: Outgoing, *, user: str = "", allowed: frozenset[str] | None = None, mail_id: str | None = None
    ) -> Sent:
        """Hand a mail over, and say what became of each recipient. As `hold`, which see."""
        held = await self.hold(mail, Handover(user=user, protocol="HTTP"), allowed=allowed, mail_id=mail_id)
        verdict = await self.verdict(held)
        refused = {one.recipient: one for one in verdict.refused} if verdict is not None else {}
        return Sent(held.mail_id, [refused.get(one) or _sent_to(one) for one in held.recipients])

    async def hold(
        self, mail: Outgoing, handover: Handover, *, allowed: frozenset[str] | None = None, mail_id: str | None = None
    ) -> Held:
        """Take responsibility for a mail. InvalidMail when it cannot be sent as it is, Unavailable when it could not be held: then it was
        not sent. `allowed` limits the sending domains; None allows all that are configured."""
        try:
            held = await self._hold(mail, handover, allowed, mail_id or new_mail_id())
        except InvalidMail:
            counter(metrics.SENDS).labels("invalid").inc()
            raise
        except Unavailable:
            counter(metrics.SENDS).labels("unavailable").inc()
            raise
        counter(metrics.SENDS).labels("accepted").inc()
        return held

    async def verdict(self, held: Held) -> Verdict | None:
        """Who gets nothing of what was held, and why; None when nobody says so in time."""
        if self._verdicts is None or held.expected is None:
            return None
        return await self._verdicts.verdict_on(held.mail_id, held.expected)

    def _check_domain(self, domain: str, allowed: frozenset[str] | None) -> None:
        """Envelope sender, From and Sender must all be ours, and within what the token may."""
        if domain not in self._keys:
            known = ", ".join(sorted(self._keys)) or "none"
            raise InvalidMail("from", f"{domain} is not under outbound.domains (known: {known})", "configuration_error")
        if allowed is not None and domain not in allowed:
            raise InvalidMail("from", f"this token may not send from {domain}", "forbidden_domain")

    async def _hold(self, mail: Outgoing, handover: Handover, allowed: frozenset[str] | None, mail_id: str) -> Held:
        turn = self._turns.setdefault(
            handover.user, asyncio.Lock()
        )  # one waits for itself before it takes others' room
        async with turn, self._room:  # off the event loop, which others wait for
            built, octets = await asyncio.to_thread(self._make, mail, allowed)
        waiter = self._verdicts if self._verdicts is not None and self._verdicts.waiting else None
        envelope = Envelope(
            mail_id=mail_id,
            type=RawType.SUBMITTED,
            direction=Direction.OUTBOUND,
            received_at=clock.now(),
            envelope_from=built.envelope_from,
            recipients=list(built.recipients),
            size=len(octets),
            peer_ip=handover.peer_ip,
            helo=handover.helo,
            protocol=handover.protocol,
            tls=handover.tls,
            user=handover.user,
            smtputf8=handover.smtputf8,
            receiver=self._settings.authserv_id,
            notices={as_recipient(address): asked for address, asked in handover.notices.items()},
            verdict_partition=waiter.partition if waiter is not None else None,
            **metadata_of(built.metadata),
        )
        expected = waiter.expect(mail_id) if waiter is not None else None
        try:
            await self._holder.hold(envelope, octets)
        except BaseException:
            if waiter is not None:
                waiter.forget(mail_id)
            raise
        return Held(mail_id, built.recipients, expected)

    def _make(self, mail: Outgoing, allowed: frozenset[str] | None) -> tuple[Built, bytes]:
        """The message, checked and signed."""
        built = build_message(mail)
        ours = self._settings.authserv_id
        claims = [entry.value for entry in built.message.all(b"authentication-results")]
        for entry in built.message.all(
            b"arc-authentication-results"
        ):  # the instance stands in front (RFC 8617 section 4.1.1)
            claims.extend(entry.value.split(b";"))
        if any(is_ours(claim, ours) for claim in claims):  # whoever trusts us would believe it (RFC 8601 section 5)
            raise InvalidMail("raw", f"it has an Authentication-Results of {ours}, which only we write")
        sender = [split_address(built.envelope_from)[1]] if built.envelope_from else []  # none: a report
        for domain in (*sender, *built.authors):
            self._check_domain(domain, allowed)
        author = built.authors[0]  # its domain is what DMARC looks at
        octets = sign_dkim(built.message, author, self._keys[author], time.time()) + built.octets
        if len(octets) > self._settings.smtp.max_size:
            raise InvalidMail(
                "raw", f"the message is larger than {self._settings.smtp.max_size} octets", "message_too_large"
            )
        return built, octets
