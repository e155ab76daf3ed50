"""The app `inbound`: every record of `mail.raw` is authenticated, judged and routed."""

import logging

from contracts import clock, metrics, topics
from contracts.auth_results import AuthResults
from contracts.codec import HEADERS, encode_verdict
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import RawPointer, Verdict
from contracts.raw_message import Envelope, RawType, decode_headers
from contracts.settings import Settings
from mail import authentication
from mail.bounce_address import BounceAddresses, load_secret
from mail.parse_headers import split_message
from processors.head_forward import ForwardHead
from processors.process_mail import Mail, Outcome, process_inbound, process_outbound, process_refused, process_unusable
from processors.publish_events import SOURCE, dispatch_record, event_records
from processors.run_app import Handle, Source, letter_for, run_app
from runtime.blobs import BlobStore
from runtime.publish import Record
from runtime.resolve_dns import DnsResolver

_log = logging.getLogger("mailscope.processors.inbound")


def run_inbound(settings: Settings, health_port: int) -> None:
    """Run the app until SIGTERM."""
    bounces = BounceAddresses(load_secret(settings))
    run_app("inbound", topics.RAW, settings, health_port, lambda publisher: _start(settings, bounces))


def _start(settings: Settings, bounces: BounceAddresses) -> Handle:
    blobs = BlobStore(settings.blobs_url)
    head = ForwardHead(settings)
    resolver = DnsResolver(settings.dns.nameservers, timeout=settings.dns.timeout.total_seconds(), observe=_observe_dns)

    async def handle(source: Source) -> list[list[Record]]:
        envelope = decode_headers(source.headers)
        try:
            return _records(envelope, await _process(source, envelope))
        except Unavailable:
            raise
        except Exception as error:  # one message must not hold up the others: kept aside, and told in the log
            _log.exception("a message crashed the processors: %s", envelope.mail_id)
            why = (
                error
                if isinstance(error, InvalidEvent)
                else InvalidEvent("crashed", f"{type(error).__name__}: {error}")
            )
            letter = letter_for("processors.inbound", why, source)
            return [[letter], *_records(envelope, process_unusable(envelope, why.reason))]

    async def _process(source: Source, envelope: Envelope) -> Outcome:
        if envelope.type is RawType.REFUSED:
            return process_refused(envelope)
        octets = await blobs.message(envelope, source.value)
        raw = RawPointer(topic=source.topic, partition=source.partition, offset=source.offset)
        if envelope.type is RawType.SUBMITTED:
            return process_outbound(Mail(envelope, split_message(octets), None, raw), settings, bounces)
        with metrics.authentication_seconds.time():
            auth = await authentication.authenticate(
                authentication.ReceivedMail(
                    raw=octets,
                    peer_ip=envelope.peer_ip,
                    helo=envelope.helo,
                    envelope_from=envelope.envelope_from,
                    authserv_id=settings.authserv_id,
                    now=envelope.received_at.timestamp(),
                ),
                resolver,
            )
        _count(auth)
        mail = Mail(envelope, split_message(octets), auth, raw)
        return process_inbound(
            mail,
            settings,
            bounces,
            clock.now(),
            lambda recipient: head.write(envelope, recipient, auth, octets),
        )

    return handle


def _records(envelope: Envelope, outcome: Outcome) -> list[list[Record]]:
    records = [record for event in outcome.events for record in event_records(event)]
    records += [dispatch_record(command) for command in outcome.commands]
    if not outcome.reply:
        return [records]
    verdict = Record(
        topics.VERDICTS,
        envelope.mail_id,
        encode_verdict(Verdict(mail_id=envelope.mail_id, reply=outcome.reply, decided_at=clock.now()), SOURCE),
        HEADERS,
        envelope.verdict_partition,
    )
    # An acceptance may be told at once, since the message is held. A refusal is told when the log has it.
    return [[*records, verdict]] if outcome.reply[0] == "2" else [records, [verdict]]


def _count(auth: AuthResults) -> None:
    for method in ("spf", "dkim", "dmarc", "arc", "iprev"):
        metrics.authentication_results.labels(method, getattr(auth, f"{method}_word")).inc()


def _observe_dns(rtype: str, status: str, seconds: float, cached: bool) -> None:
    metrics.dns_questions.labels(rtype, status, str(cached).lower()).inc()
    if not cached:
        metrics.dns_seconds.observe(seconds)
