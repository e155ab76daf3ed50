"""The app `inbound`: every mail of `mail.raw` that comes in is authenticated, judged and routed."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import msgspec

from contracts import clock, topics
from contracts.errors import Unavailable
from contracts.events import MailEvent, RawPointer
from contracts.raw_message import Envelope, RawType, accepted_reply, decode_headers
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, Status
from mail.bounce_address import BounceAddresses
from mail.parse_headers import split_message
from mail.reports.read_report import read_report
from mail.reports.report import Report
from processors.authenticate_received import Authenticator
from processors.begin_round import in_round
from processors.decide_inbound import decide_answered, decide_inbound, decide_refused, decide_unusable
from processors.decide_report import takes_reports
from processors.decision import Consequences, ReadMail
from processors.find_reference import Threads
from processors.head_forward import ForwardHead
from processors.know_duplicates import KnownMail
from processors.know_rounds import KnownRounds
from processors.publish_events import consequence_records
from processors.recall_decisions import Decisions
from processors.run_app import run_app
from processors.weigh_mail import weigh_mail
from runtime.blobs import open_blobs
from runtime.budget_octets import OctetBudget
from runtime.health import Readiness
from runtime.load_secret import load_secret
from runtime.publish import Publisher
from runtime.resolve_dns import FAILURE_SECONDS

MEMORY = 192 << 20  # octets for the copies of messages that travel by claim check
COPIES = 4  # of a message's octets, that deciding about it needs at most
PATIENT = FAILURE_SECONDS + 5  # seconds that DNS has for a mail whose sender cannot be told to try again
UNDECIDED = timedelta(hours=1)  # for which the receiver's word waits for the decision that it is about


def run_inbound(settings: Settings, readiness: Readiness) -> None:
    """Run the app until SIGTERM. ConfigurationError when a key cannot be used."""
    run_app("inbound", topics.RAW, Inbound(settings), settings, readiness)


class Inbound:
    """Decides about every mail that comes in from anywhere."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bounces = BounceAddresses(load_secret(settings))
        self._blobs = open_blobs(settings)
        self._head = ForwardHead(settings)
        self._authenticator = Authenticator(settings)
        self._memory = OctetBudget(MEMORY)
        self._decisions = Decisions(settings.kafka_client, Direction.INBOUND)
        self._deciding: dict[str, asyncio.Future[None]] = {}
        self._refusals = RememberedRefusals()
        self._open_checks = OpenChecks()
        self._rounds = KnownRounds()
        self._known: KnownMail | None = None
        self._threads: Threads | None = None

    def begin(self, publisher: Publisher) -> None:
        """Follow what the channels have got lately, and what became a request."""
        self._known = KnownMail(self._settings, publisher)
        self._threads = Threads(self._settings.kafka_client)

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        """What to publish about one record; outbound mail is another app's. InvalidEvent when it has no envelope, Unavailable when its
        blob cannot be had now."""
        self._decisions.begin(source)
        envelope = decode_headers(source.headers)
        if envelope.type is RawType.SUBMITTED or envelope.direction is not Direction.INBOUND:
            return []
        if envelope.type is RawType.ANSWERED:
            return self._records(envelope, await self._answered(source, envelope))
        if envelope.repeated and await self._is_decided(source, envelope):
            return []
        if envelope.type is RawType.AGAIN:
            envelope = await self._rounds.begin(source, envelope, self._decisions)
            if not envelope.recipients:
                return []
        decided = self._deciding[envelope.mail_id] = asyncio.get_running_loop().create_future()
        try:
            found = await self._decide(source, envelope)
            self._refusals.remember(envelope.mail_id, found.events)
            return self._records(envelope, found)
        except BaseException:
            self._rounds.give_up(source, envelope)
            raise
        finally:
            decided.set_result(None)
            self._deciding.pop(envelope.mail_id, None)

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        """The events of a mail whose record was put aside."""
        envelope = decode_headers(source.headers)
        if envelope.type in (RawType.ANSWERED, RawType.SUBMITTED) or envelope.direction is not Direction.INBOUND:
            return []
        if envelope.type is RawType.AGAIN:
            envelope = self._rounds.only_new(source, envelope)
            self._rounds.give_up(source, envelope)
        found = in_round(decide_unusable(envelope, why), envelope, self._settings.delivery.expire)
        return [record for group in self._records(envelope, found) for record in group]

    def weigh(self, source: ConsumedRecord) -> int:
        """The record and what follows from it."""
        return weigh_mail(source)

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        """Their records are not read by us any more, or anew."""
        self._decisions.forget(partitions)

    async def _decide(self, source: ConsumedRecord, envelope: Envelope) -> Consequences:
        if envelope.type is RawType.REFUSED:
            return decide_refused(envelope)
        need = COPIES * envelope.size if envelope.blob is not None else 0
        async with self._memory.hold(need):
            octets = await self._blobs.message(envelope, source.value)
            message = split_message(octets)
            raw = RawPointer(topic=source.topic, partition=source.partition, offset=source.offset)
            mail = ReadMail(envelope, message, raw, await self._read_report(envelope, octets))
            before = await self._decisions.of(source)
            first = before
            if envelope.type is RawType.AGAIN and not before:  # what it was found to be when it came
                first = await self._decisions.look_up(envelope.mail_id, source.partition, elsewhere=True)
            auth = next((event.auth for event in first if event.auth is not None), None)
            if auth is None:
                auth = await self._authenticator.authenticate(envelope, octets, message)
            elif any(event.late for event in before):
                mail = replace(
                    mail, envelope=msgspec.structs.replace(envelope, answered=accepted_reply(envelope.mail_id))
                )
            if self._threads is not None:
                mail = replace(mail, answers=await self._threads.find(message, before))
            now = max((event.occurred_at for event in before), default=clock.now())
            head = self._head.of(envelope, auth, octets)
            found = decide_inbound(mail, auth, self._settings, self._bounces, now, head)
            again = envelope.type is RawType.AGAIN
            if self._known is not None and not again and (repeats := await self._known.repeats_in(found, before)):
                mail = replace(mail, repeats_in=repeats)
                found = decide_inbound(mail, auth, self._settings, self._bounces, now, head)
        if not before:
            self._open_checks.wait(envelope, found.events)
        found = found.without_commands_of(await self._decisions.tried(source))
        self._decisions.decided(source)
        return in_round(found, envelope, self._settings.delivery.expire)

    async def _is_decided(self, source: ConsumedRecord, envelope: Envelope) -> bool:
        """Whether a record before this one has the same mail, which was decided. Of a poller that was killed nobody knows whether its last
        mail got here."""
        deciding = self._deciding.get(envelope.mail_id)
        if deciding is not None:
            await deciding
        if self._refusals.of(envelope.mail_id) is not None:
            return True
        known = await self._decisions.look_up(envelope.mail_id, source.partition)
        return any(event.raw is None or event.raw.offset != source.offset for event in known)

    async def _read_report(self, envelope: Envelope, octets: bytes) -> Report | None:
        """What it reports, where it is for an address that takes reports: off the event loop."""
        if not any(takes_reports(one, envelope, self._settings, self._bounces) for one in envelope.recipients):
            return None
        return await asyncio.to_thread(read_report, octets)

    async def _answered(self, source: ConsumedRecord, envelope: Envelope) -> Consequences:
        """The receiver answered without the verdict: what was refused for the dialogue came too late for it."""
        deciding = self._deciding.get(envelope.mail_id)
        if deciding is not None:
            await deciding
        refusals = self._refusals.of(envelope.mail_id)
        if refusals is None:
            refusals = await self._decisions.look_up(envelope.mail_id, source.partition)
            if not refusals and clock.now() - envelope.received_at < UNDECIDED:  # its blob is away, or it is parked
                raise Unavailable("the decision", f"nothing is decided about {envelope.mail_id} yet")
        return decide_answered(refusals, envelope.answered)

    def _records(self, envelope: Envelope, found: Consequences) -> list[list[Record]]:
        return consequence_records(envelope, found, self._settings.delivery.split)


class OpenChecks:
    """Mails that DNS leaves open and whose sender was answered already: it cannot be told to try again, so we do, until what DNS
    refuses to say has left the cache. What is still open then is refused, late. Bounded in memory: more than `most` do not wait."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._since: dict[str, float] = {}

    def wait(self, envelope: Envelope, events: list[MailEvent]) -> None:
        """Unavailable where this mail shall be tried again."""
        mail_id, now = envelope.mail_id, time.monotonic()
        since = self._since.pop(mail_id, now)
        heard = envelope.verdict_partition is not None and not envelope.answered
        if heard or not any(event.reason is Reason.AUTH_TEMPERROR for event in events):
            return
        if now - since < PATIENT and len(self._since) < self._most:
            self._since[mail_id] = since
            raise Unavailable("DNS", f"it leaves open whether {mail_id} is authentic")


class RememberedRefusals:
    """What was refused lately, for the receiver's word about it. Bounded: what is forgotten is looked up."""

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._mails: OrderedDict[str, list[MailEvent]] = OrderedDict()

    def remember(self, mail_id: str, events: list[MailEvent]) -> None:
        """These events were made for a mail; the refusals among them are kept."""
        self._mails[mail_id] = [event for event in events if event.status is Status.REJECTED]
        if len(self._mails) > self._most:
            self._mails.popitem(last=False)

    def of(self, mail_id: str) -> list[MailEvent] | None:
        """The refusals of a mail; None when it is not remembered."""
        return self._mails.get(mail_id)
