"""The app `outbound`: who gets each mail that we send, and why the others do not."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from contracts import clock, topics
from contracts.errors import InvalidEvent
from contracts.events import RawPointer
from contracts.ids import derived_mail_id
from contracts.raw_message import Envelope, RawType, decode_headers
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, Status
from mail.addresses import split_address
from mail.bounce_address import BounceAddresses
from mail.parse_headers import Message, split_message
from processors.begin_round import in_round
from processors.count_quotas import Quotas
from processors.decide_inbound import decide_unusable
from processors.decide_outbound import beyond_quota, decide_outbound
from processors.decision import Consequences, Decision, ReadMail
from processors.find_reference import thread_records
from processors.judge_recipient import Known, judge_mail, judge_recipient
from processors.know_rounds import KnownRounds
from processors.notify_sender import SenderNotices
from processors.offer_unsubscribe import UnsubscribeOffers
from processors.publish_events import consequence_records
from processors.recall_decisions import Decisions
from processors.run_app import run_app
from processors.summarise import summarise
from processors.watch_keys import KeyWatch
from processors.weigh_mail import weigh_mail
from runtime.blobs import open_blobs
from runtime.budget_octets import OctetBudget
from runtime.health import Readiness
from runtime.load_secret import load_secret
from runtime.publish import Publisher
from runtime.shared_list import follow_preferences, follow_suppressions

MEMORY = 192 << 20  # octets for the copies of messages that travel by claim check
FEW = 20  # recipients that are decided about on the event loop
COPIES = 2  # of a message's octets, that deciding about it needs at most


def run_outbound(settings: Settings, readiness: Readiness) -> None:
    """Run the app until SIGTERM. ConfigurationError when a key cannot be used."""
    run_app("outbound", topics.RAW, Outbound(settings), settings, readiness)


class Outbound:
    """Decides about every mail that an application hands over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        secret = load_secret(settings)
        self._bounces = BounceAddresses(secret)
        self._offers = UnsubscribeOffers(settings, secret)
        self._blobs = open_blobs(settings)
        self._memory = OctetBudget(MEMORY)
        self._decisions = Decisions(settings.kafka_client, Direction.OUTBOUND)
        self._keys = KeyWatch(settings)
        self._notices = SenderNotices(settings)
        self._rounds = KnownRounds()

    def begin(self, publisher: Publisher) -> None:
        """Follow what is known of addresses, and watch our keys."""
        self._suppressions = follow_suppressions(self._settings.kafka_client)
        self._preferences = follow_preferences(self._settings.kafka_client)
        self._quotas = Quotas(self._settings, publisher)
        self._keys.begin()

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        """What to publish about one record; inbound mail, and what has no envelope, is another app's. Unavailable when its blob cannot be
        had now, or Kafka does not say what is known of its recipients."""
        self._decisions.begin(source)
        envelope = _submitted(source)
        if envelope is None:
            return []
        if envelope.type is RawType.AGAIN:
            envelope = await self._rounds.begin(source, envelope, self._decisions)
            if not envelope.recipients:
                return []
        need = COPIES * envelope.size if envelope.blob is not None else 0
        try:
            async with self._memory.hold(need):
                message = split_message(await self._blobs.message(envelope, source.value))
                decided = await self._decide(source, envelope, message)
            tried = await self._decisions.tried(source)
        except BaseException:
            self._rounds.give_up(source, envelope)
            raise
        found = in_round(decided, envelope, self._settings.delivery.expire)
        self._decisions.decided(source)
        groups = consequence_records(envelope, found.without_commands_of(tried), self._settings.delivery.split)
        return [thread_records(found.events), *groups, self._reports(envelope, found)]

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        """The events of a mail whose record was put aside."""
        envelope = _submitted(source)
        if envelope is None:
            return []
        if envelope.type is RawType.AGAIN:
            envelope = self._rounds.only_new(source, envelope)
            self._rounds.give_up(source, envelope)
        found = in_round(decide_unusable(envelope, why), envelope, self._settings.delivery.expire)
        groups = consequence_records(envelope, found, self._settings.delivery.split)
        return [record for group in groups for record in group]

    def weigh(self, source: ConsumedRecord) -> int:
        """The record and what follows from it."""
        return weigh_mail(source) if _submitted(source) is not None else source.size

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        """Their records are not read by us any more, or anew."""
        self._decisions.forget(partitions)

    async def _decide(self, source: ConsumedRecord, envelope: Envelope, message: Message) -> Consequences:
        summary = summarise(envelope, message, None, "")
        raw = RawPointer(topic=source.topic, partition=source.partition, offset=source.offset)
        mail = ReadMail(envelope, message, raw)
        before = {event.recipient: event for event in await self._decisions.of(source)}
        domain = split_address(summary.from_)[1]
        undecided = [recipient for recipient in envelope.recipients if recipient not in before]
        for_all = judge_mail(envelope, domain, self._settings.outbound, await self._keys.fault(domain))
        reached = sum(event.status is Status.SENT for event in before.values())
        refusals = (
            dict.fromkeys(undecided, for_all)
            if for_all is not None
            else await self._judge(undecided, envelope, domain, reached)
        )

        def decide() -> Consequences:
            offer = self._offers.of(envelope, message, domain)
            return decide_outbound(mail, summary, refusals, before, self._settings, self._bounces, clock.now(), offer)

        # Many signatures would hold up everybody else.
        return decide() if len(envelope.recipients) <= FEW else await asyncio.to_thread(decide)

    def _reports(self, envelope: Envelope, found: Consequences) -> list[Record]:
        """To who asked for them: of the recipients that get nothing. Where nobody does, the dialogue has said so."""
        refused = [event for event in found.events if event.status is not Status.SENT]
        return [
            record
            for event in (refused if found.commands else [])
            if (asked := envelope.notices.get(event.recipient)) is not None
            for record in self._notices.of_refused(event, asked)
        ]

    async def _judge(self, recipients: list[str], envelope: Envelope, domain: str, reached: int) -> dict[str, Decision]:
        """The recipients that get nothing, and why; `reached`: how many others of this mail were `sent` before a restart."""
        await self._suppressions.ready()
        await self._preferences.ready()
        refusals = self._refuse(recipients, envelope)
        if any(
            one.reason is not Reason.INVALID_ADDRESS for one in refusals.values()
        ):  # somebody may just have taken an address off the list: what stands in Kafka holds
            await self._suppressions.catch_up()
            await self._preferences.catch_up()
            refusals = self._refuse(recipients, envelope)
        allowed = [one for one in recipients if one not in refusals]
        if allowed and not envelope.is_own_report:
            at, ticket = ticket_of(envelope)
            grant = await self._quotas.grant(domain, at, ticket, len(allowed))
            refusals |= beyond_quota(grant, allowed, domain, reached)
        return refusals

    def _refuse(self, recipients: list[str], envelope: Envelope) -> dict[str, Decision]:
        now = clock.now()
        judged = {
            recipient: judge_recipient(
                recipient, envelope, Known(self._suppressions.get(recipient), self._preferences.get(recipient)), now
            )
            for recipient in recipients
        }
        return {recipient: decision for recipient, decision in judged.items() if decision is not None}


def ticket_of(envelope: Envelope) -> tuple[datetime, str]:
    """When a mail takes from its domain's quota, and under which id: redelivered, it takes once more, from that day's."""
    if not envelope.again:
        return envelope.received_at, envelope.mail_id
    at = max(again.at for again in envelope.again.values())
    return at, derived_mail_id(at, f"redelivery of {envelope.mail_id}")


def _submitted(source: ConsumedRecord) -> Envelope | None:
    """The envelope of a mail that we send, or send again; None for any other record."""
    try:
        envelope = decode_headers(source.headers)
    except InvalidEvent:
        return None
    again = envelope.type is RawType.AGAIN and envelope.direction is Direction.OUTBOUND
    return envelope if envelope.type is RawType.SUBMITTED or again else None
