"""A forward that failed for good is told to its sender: a report goes out as a mail of ours (mail/reports/write_dsn.py)."""

import time
from collections import OrderedDict, deque

from contracts import topics
from contracts.events import AttemptReport, MailEvent, decisive_answer
from contracts.ids import derived_mail_id
from contracts.raw_message import OWN_REPORT, Envelope, RawType, encode_headers
from contracts.records import Record
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, Status
from mail.addresses import split_address
from mail.authentication.sign_dkim import read_domain_keys, sign_dkim
from mail.parse_headers import split_message
from mail.reports.write_dsn import FailedMail, FailedRecipient, write_dsn
from processors.publish_events import SOURCE

PER_SENDER, TOTAL = 10, 1000  # reports in an hour, from this process
HOUR = 3600.0  # seconds
SENDERS = 10_000  # that are remembered


class SenderNotices:
    """Writes the reports. ConfigurationError when a DKIM key cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = read_domain_keys(settings.outbound.key_files)
        self._sent: OrderedDict[str, deque[float]] = OrderedDict()

    def of(self, report: AttemptReport, event: MailEvent) -> list[Record]:
        """The record that sends a report about this event; none where there is nothing to tell, or nobody may be told."""
        failed = event.status in (Status.DELIVERY_FAILED, Status.FAILED) and event.reason is not Reason.INTERNAL_ERROR
        if not (report.notify and failed and self._settings.delivery.notify_senders):
            return []
        if not self._may(report.mail.envelope_from.lower()):
            return []
        domain = split_address(event.recipient)[1]
        mail_id = derived_mail_id(event.occurred_at, f"dsn {event.mail_id} {event.recipient}")
        octets = write_dsn(
            FailedMail(
                report.mail.envelope_from,
                report.mail.from_,
                report.mail.subject,
                report.mail.message_id,
                report.mail.received_at,
            ),
            [_failed(event)],
            self._settings.authserv_id,
            f"mailer-daemon@{domain}",
            f"{mail_id}@{domain}",
            event.occurred_at,
        )
        keys = self._keys.get(domain, [])
        octets = sign_dkim(split_message(octets), domain, keys, event.occurred_at.timestamp()) + octets
        envelope = Envelope(
            mail_id=mail_id,
            type=RawType.SUBMITTED,
            direction=Direction.OUTBOUND,
            received_at=event.occurred_at,
            envelope_from="",
            recipients=[report.mail.envelope_from],
            size=len(octets),
            protocol=OWN_REPORT,
            user="the mail system",
            receiver=self._settings.authserv_id,
            stream="delivery-report",
            tag=event.mail_id,
        )
        return [Record(topics.RAW, mail_id, octets, encode_headers(envelope, SOURCE))]

    def _may(self, sender: str) -> bool:
        """A sender is told a few times an hour, however much of their mail fails: the log has all of it."""
        now = time.monotonic()
        for name, most in ((sender, PER_SENDER), ("", TOTAL)):
            times = self._sent.setdefault(name, deque(maxlen=most))
            self._sent.move_to_end(name)
            if len(times) == most and now - times[0] < HOUR:
                return False
        for name in (sender, ""):
            self._sent[name].append(now)
        while len(self._sent) > SENDERS:
            self._sent.popitem(last=False)
        return True


def _failed(event: MailEvent) -> FailedRecipient:
    answer = decisive_answer(event)
    return FailedRecipient(
        original=event.recipient,
        status=answer.enhanced_code if answer is not None and answer.enhanced_code[:1] == "5" else "",
        code=answer.code if answer is not None else 0,
        text=answer.text if answer is not None and answer.code else event.detail,
        host=answer.host if answer is not None else "",
    )
