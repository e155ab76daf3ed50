"""The app `inbound`: every record of `mail.raw` is authenticated, judged and routed."""

from contracts import clock, metrics, topics
from contracts.auth_results import AuthResults
from contracts.codec import HEADERS, encode_verdict
from contracts.events import RawPointer, Verdict
from contracts.raw_message import Envelope, RawType, decode_headers
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from mail import authentication
from mail.bounce_address import BounceAddresses
from mail.parse_headers import Message, split_message
from processors.decide_inbound import decide_inbound, decide_refused, decide_unusable
from processors.decide_outbound import decide_outbound
from processors.decision import Consequences, ReadMail
from processors.head_forward import ForwardHead
from processors.publish_events import SOURCE, dispatch_record, event_records
from processors.run_app import run_app
from runtime.blobs import BlobStore
from runtime.expose_metrics import counter, histogram
from runtime.health import Readiness
from runtime.load_secret import load_secret
from runtime.resolve_dns import DnsResolver


def run_inbound(settings: Settings, readiness: Readiness) -> None:
    """Run the app until SIGTERM. ConfigurationError when a key cannot be used."""
    run_app("inbound", topics.RAW, Inbound(settings), settings, readiness)


class Inbound:
    """Decides about every mail that comes in from anywhere."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bounces = BounceAddresses(load_secret(settings))
        self._blobs = BlobStore(settings.blobs_url)
        self._head = ForwardHead(settings)
        self._resolver = DnsResolver(
            settings.dns.nameservers, timeout=settings.dns.timeout.total_seconds(), observe=_observe_dns
        )

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        """What to publish about one record. InvalidEvent when it has no envelope, Unavailable when its blob cannot be had now."""
        envelope = decode_headers(source.headers)
        return self._records(envelope, await self._decide(source, envelope))

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        """The events of a mail whose record was put aside."""
        envelope = decode_headers(source.headers)
        return [record for group in self._records(envelope, decide_unusable(envelope, why)) for record in group]

    async def _decide(self, source: ConsumedRecord, envelope: Envelope) -> Consequences:
        if envelope.type is RawType.REFUSED:
            return decide_refused(envelope)
        octets = await self._blobs.message(envelope, source.value)
        message = split_message(octets)
        mail = ReadMail(
            envelope, message, RawPointer(topic=source.topic, partition=source.partition, offset=source.offset)
        )
        if envelope.type is RawType.SUBMITTED:
            return decide_outbound(mail, self._settings, self._bounces)
        auth = await self._authenticate(envelope, octets, message)
        head = self._head.of(envelope, auth, octets)
        return decide_inbound(mail, auth, self._settings, self._bounces, clock.now(), head)

    async def _authenticate(self, envelope: Envelope, octets: bytes, message: Message) -> AuthResults:
        with histogram(metrics.AUTHENTICATION_SECONDS).time():
            auth = await authentication.authenticate(
                authentication.ReceivedMail(
                    raw=octets,
                    peer_ip=envelope.peer_ip,
                    helo=envelope.helo,
                    envelope_from=envelope.envelope_from,
                    authserv_id=self._settings.authserv_id,
                    now=envelope.received_at.timestamp(),
                    message=message,
                ),
                self._resolver,
            )
        for method in ("spf", "dkim", "dmarc", "arc", "iprev"):
            counter(metrics.AUTHENTICATION_RESULTS).labels(method, getattr(auth, f"{method}_word")).inc()
        return auth

    def _records(self, envelope: Envelope, found: Consequences) -> list[list[Record]]:
        records = [record for event in found.events for record in event_records(event)]
        records += [dispatch_record(command, self._settings.delivery.split) for command in found.commands]
        if not found.reply:
            return [records]
        verdict = Record(
            topics.VERDICTS,
            envelope.mail_id,
            encode_verdict(Verdict(mail_id=envelope.mail_id, reply=found.reply, decided_at=clock.now()), SOURCE),
            HEADERS,
            envelope.verdict_partition,
        )
        # An acceptance may be told at once, since the message is held. A refusal is told when the log has it.
        return [[*records, verdict]] if found.reply[0] == "2" else [records, [verdict]]


def _observe_dns(rtype: str, status: str, seconds: float, cached: bool) -> None:
    counter(metrics.DNS_QUESTIONS).labels(rtype, status, str(cached).lower()).inc()
    if not cached:
        histogram(metrics.DNS_SECONDS).observe(seconds)
