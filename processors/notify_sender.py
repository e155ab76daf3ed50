"""Reports to senders, each a mail of ours (mail/reports/write_dsn.py): of a forward that failed for good, and of what a submitter has asked
for (RFC 3461)."""

import logging
import time
from collections import OrderedDict, deque
from datetime import datetime

from contracts import topics
from contracts.events import AttemptReport, MailEvent, decisive_answer
from contracts.ids import derived_mail_id
from contracts.notices import Notices
from contracts.raw_message import OWN_REPORT, Envelope, RawType, encode_headers
from contracts.records import Record
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, Status
from mail.addresses import split_address
from mail.authentication.sign_dkim import read_domain_keys, sign_dkim
from mail.parse_headers import split_message
from mail.reports.report import Action
from mail.reports.write_dsn import ToldMail, ToldRecipient, write_dsn
from processors.publish_events import SOURCE

_log = logging.getLogger("mailscope.processors")
PER_SENDER, TOTAL = 10, 1000  # reports in an hour, from this process
HOUR = 3600.0  # seconds
SENDERS = 10_000  # that are remembered
_CLASSES = {Action.FAILED: "5", Action.DELAYED: "4", Action.RELAYED: "2"}  # of enhanced status codes (RFC 3463)


class SenderNotices:
    """Writes the reports. ConfigurationError when a DKIM key cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = read_domain_keys(settings.outbound.key_files)
        self._sent: OrderedDict[str, deque[float]] = OrderedDict()

    def of(self, report: AttemptReport, event: MailEvent) -> list[Record]:
        """The record that sends a report about this event; none where there is nothing to tell, or nobody may be told."""
        action = _action(event, is_late=report.is_late)
        asked = action is not None and _is_asked(report.notices, action)
        if (
            not asked
        ):  # who passes mail on has to tell its sender, a stranger, of failures, and may not be made to flood him
            due = action is Action.FAILED and report.notify
            if not (due and self._settings.delivery.notify_senders and self._may(report.mail.envelope_from.lower())):
                return []
        assert action is not None
        return self._write(event, action, report.notices or Notices())

    def of_refused(self, event: MailEvent, notices: Notices) -> list[Record]:
        """The same for an event of a recipient that nothing is sent to, though the rest of the mail was accepted."""
        asked = notices.failure and event.mail.envelope_from and event.reason is not Reason.INTERNAL_ERROR
        return self._write(event, Action.FAILED, notices) if asked else []

    def _write(self, event: MailEvent, action: Action, notices: Notices) -> list[Record]:
        """The report. Where it cannot be written, there is none: it must not cost the event that it is about, nor the mail."""
        try:
            return [self._record(event, action, notices)]
        except Exception:
            _log.exception("no report about %s for %s could be written", event.mail_id, event.recipient)
            return []

    def _record(self, event: MailEvent, action: Action, notices: Notices) -> Record:
        mail = event.mail
        forwarded = event.direction is Direction.INBOUND
        domain = split_address(event.recipient if forwarded else mail.envelope_from)[1]
        # A late mail is told of once, however often its attempt is reported.
        moment = (
            mail.received_at + self._settings.delivery.delay_notice if action is Action.DELAYED else event.occurred_at
        )
        kind = "dsn" if action is Action.FAILED else action.value
        mail_id = derived_mail_id(moment, f"{kind} {event.mail_id} {event.recipient}")
        octets = write_dsn(
            ToldMail(
                mail.envelope_from,
                mail.from_,
                mail.subject,
                mail.message_id,
                mail.received_at,
                notices.envelope_id,
            ),
            [_recipient(event, action, notices, mail.received_at + self._settings.delivery.expire)],
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
            received_at=moment,
            envelope_from="",
            recipients=[mail.envelope_from],
            size=len(octets),
            protocol=OWN_REPORT,
            user="the mail system",
            receiver=self._settings.authserv_id,
            stream="delivery-report",
            tag=event.mail_id,
        )
        return Record(topics.RAW, mail_id, octets, encode_headers(envelope, SOURCE))

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


def _action(event: MailEvent, *, is_late: bool) -> Action | None:
    if event.status in (Status.DELIVERY_FAILED, Status.FAILED):  # what failed here is mended, and replayed
        return None if event.reason is Reason.INTERNAL_ERROR else Action.FAILED
    if event.status is Status.DEFERRED and is_late:
        return Action.DELAYED
    return Action.RELAYED if event.status is Status.DELIVERED else None


def _is_asked(notices: Notices | None, action: Action) -> bool:
    if notices is None:
        return False
    return {Action.FAILED: notices.failure, Action.DELAYED: notices.delay, Action.RELAYED: notices.success}[action]


def _recipient(event: MailEvent, action: Action, notices: Notices, retry_until: datetime) -> ToldRecipient:
    answer = decisive_answer(event)
    status = answer.enhanced_code if answer is not None else ""
    return ToldRecipient(
        address=event.recipient,
        status=status if status[:1] == _CLASSES[action] else "",
        code=answer.code if answer is not None else 0,
        text=answer.text if answer is not None and answer.code else event.detail,
        host=answer.host if answer is not None else "",
        action=action,
        original=notices.original_recipient,
        retry_until=retry_until if action is Action.DELAYED else None,
    )
