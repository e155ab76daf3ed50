"""Every topic of the house: its name, cleanup and retention, declared once. `mailscope topics apply` makes them so."""

from dataclasses import dataclass
from datetime import timedelta

from contracts.shared_state import KEPT

PREFIX = "mail."  # of every topic
RAW = "mail.raw"
VERDICTS = "mail.verdicts"
DISPATCH = "mail.dispatch"
ATTEMPTS = "mail.attempts"
EVENTS = "mail.events"
STATUS_INBOUND = "mail.status.inbound"
STATUS_OUTBOUND = "mail.status.outbound"
SUPPRESSIONS = "mail.suppressions"
PREFERENCES = "mail.preferences"
TOKENS = "mail.tokens"
CLAIMS = "mail.claims"
QUOTAS = "mail.quotas"
MAILBOXES = "mail.mailboxes"
SUBSCRIPTIONS = "mail.subscriptions"
CALLS = "mail.calls"
THREADS = "mail.threads"
CONNECTIVITY = "mail.connectivity"
AUDIT = "mail.audit"
ERASURES = "mail.erasures"
DEADLETTER = "mail.deadletter"

DAY = timedelta(days=1)
DESTINATION = "destination; mail_id for handlers"


@dataclass(frozen=True)
class Topic:
    """One topic. `retention` is None for one that is compacted and keeps the last record of each key for ever; with both, it is
    compacted and what is old goes all the same."""

    name: str
    key: str
    value: str
    retention: timedelta | None
    public: bool = False
    compacted: bool = False

    @property
    def config(self) -> dict[str, str]:
        """Kafka's topic configuration (times in ms, sizes in octets)."""
        if self.retention is None:
            # What was written over is gone after a week, also where little is written: it may name an address that was erased.
            return {"cleanup.policy": "compact", "max.compaction.lag.ms": str(int(7 * DAY.total_seconds() * 1000))}
        return {
            "cleanup.policy": "compact,delete" if self.compacted else "delete",
            "retention.ms": str(int(self.retention.total_seconds() * 1000)),
            "segment.ms": str(int(min(self.retention, DAY).total_seconds() * 1000)),
        }


def retry_topic(delay: str) -> str:
    """The topic whose commands wait for `delay`, written as in `delivery.retry`: `mail.dispatch.retry.5m`."""
    return f"{DISPATCH}.retry.{delay}"


def all_topics(retry: list[str], expire: timedelta, retention: timedelta) -> list[Topic]:
    """The topics of a pipeline with these `delivery.retry` delays. Raw messages outlive the last delivery attempt; events stay as long as
    the log (`retention`), which can be built anew from them."""
    week = 7 * DAY
    return [
        Topic(RAW, "mail_id", "message octets, envelope in headers", max(3 * DAY, expire)),
        Topic(VERDICTS, "mail_id", "Verdict", timedelta(hours=1)),
        Topic(DISPATCH, DESTINATION, "Dispatch", week),
        *[Topic(retry_topic(delay), DESTINATION, "Dispatch", week) for delay in dict.fromkeys(retry)],
        Topic(ATTEMPTS, "mail_id", "AttemptReport, or LateNews", week),
        Topic(EVENTS, "mail_id", "MailEvent", max(week, retention)),
        Topic(STATUS_INBOUND, "mail_id", "StatusChange", week, public=True),
        Topic(STATUS_OUTBOUND, "mail_id", "StatusChange", week, public=True),
        Topic(SUPPRESSIONS, "address", "Suppression", None, compacted=True),
        Topic(PREFERENCES, "address", "Preference", None, compacted=True),
        Topic(TOKENS, "token id", "Token", None, compacted=True),
        Topic(CLAIMS, "claim and claimant, all in partition 0", "Claim", KEPT, compacted=True),
        Topic(QUOTAS, "domain, all in partition 0", "QuotaTicket", 3 * DAY),
        Topic(
            MAILBOXES, "channel and poller, or channel and UID; all in partition 0", "MailboxNote", None, compacted=True
        ),
        Topic(THREADS, "digest of a Message-ID", "Thread", max(week, retention), compacted=True),
        Topic(SUBSCRIPTIONS, "subscription", "SubscriberState", None, compacted=True),
        Topic(CALLS, "subscription", "SubscriberCall", max(week, retention)),
        Topic(CONNECTIVITY, "channel", "Connectivity", max(week, retention)),
        Topic(AUDIT, "who did it", "AuditEntry", max(week, retention)),
        Topic(ERASURES, "keyed digest of the address", "Erasure", None, compacted=True),
        Topic(DEADLETTER, "as the source", "untouched octets, why in the headers", 21 * DAY),
    ]
