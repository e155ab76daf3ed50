"""Every metric of every stage, declared as data: name, help with its label values, labels, and the stages that have it.

A process registers those of the stage that it is (`runtime/expose_metrics.py`), so that what it cannot know is absent and not 0.
Labels are closed sets; never an address, a domain or an id. Durations are seconds, sizes octets. docs/metrics.md is generated from here.
"""

from dataclasses import dataclass

from contracts import stages

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
EVERY = tuple(stage.name for stage in stages.STAGES)
DOORS = ("smtp", "submission", "console")
SERVERS = ("smtp", "submission")
PROCESSORS = ("inbound", "outbound", "outcomes")
COMMAND_SINKS = ("delivery", "handlers")


@dataclass(frozen=True)
class Metric:
    """One metric, and the stages that have it."""

    name: str
    help: str
    stages: tuple[str, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counter(Metric):
    """Only ever grows; `_total` is a part of its name."""


@dataclass(frozen=True)
class Gauge(Metric):
    """Goes up and down."""


@dataclass(frozen=True)
class Histogram(Metric):
    """How observations spread over `buckets` (upper bounds)."""

    buckets: tuple[float, ...] = FAST


# ingest: the SMTP receiver and the send hook
SMTP_CONNECTIONS = Gauge("mailscope_ingest_connections", "Open SMTP connections.", SERVERS)
SMTP_MESSAGES = Counter(
    "mailscope_ingest_messages_total",
    "Messages at the end of DATA, by reply: accepted (250), refused (5xx), deferred (4xx, trouble of ours).",
    SERVERS,
    ("reply",),
)
SMTP_REFUSED_RECIPIENTS = Counter(
    "mailscope_ingest_refused_recipients_total", "Recipients refused at RCPT.", ("smtp",), ("reason",)
)
SMTP_LIMITED = Counter(
    "mailscope_ingest_limited_total",
    "What one peer was refused for doing it too often, by limit: connections, recipients, reports, logins.",
    SERVERS,
    ("limit",),
)
SMTP_OCTETS = Counter(
    "mailscope_ingest_message_octets_total", "Octets of the messages that Kafka acknowledged.", ("smtp",)
)
SMTP_ACK_SECONDS = Histogram(
    "mailscope_ingest_ack_seconds", "From the last octet of a message to Kafka's acknowledgement.", ("smtp",)
)
VERDICT_SECONDS = Histogram(
    "mailscope_ingest_verdict_seconds", "From Kafka's acknowledgement to the verdict of the processors.", DOORS
)
VERDICT_TIMEOUTS = Counter(
    "mailscope_ingest_verdict_timeouts_total", "Messages answered (250, or `sent`) without a verdict in time.", DOORS
)
VERDICT_WAITING = Gauge(
    "mailscope_ingest_verdict_waiting", "1 while senders wait for verdicts, 0 after time-outs in a row.", DOORS
)
SENDS = Counter(
    "mailscope_ingest_sends_total",
    "Messages given to the send hook or submitted, by result: accepted, invalid, unavailable, no_room, too_many.",
    ("console", "submission"),
    ("result",),
)

CHANNEL_UP = Gauge(
    "mailscope_channel_up",
    "1 while the mailbox of a channel (a name under `channels`) can be read, 0 in a gap; only of those that this process polls.",
    ("mailboxes",),
    ("channel",),
)
MAILBOX_MAILS = Counter(
    "mailscope_mailboxes_mails_total",
    "What was found in the mailboxes, by result: taken, known (it had been taken under another UID), too_large, unreadable.",
    ("mailboxes",),
    ("result",),
)

# processors
PROCESSED = Counter(
    "mailscope_processors_records_total",
    "Records processed, by app (inbound, outbound, outcomes) and result (done, dead_letter, parked).",
    PROCESSORS,
    ("app", "result"),
)
PROCESS_SECONDS = Histogram(
    "mailscope_processors_record_seconds",
    "From reading a record to the acknowledgement of its results.",
    PROCESSORS,
    ("app",),
)
PROCESSORS_LAG = Gauge(
    "mailscope_processors_lag_records", "Records that wait to be processed, by app.", PROCESSORS, ("app",)
)
AUTHENTICATION_SECONDS = Histogram(
    "mailscope_processors_authentication_seconds", "SPF, DKIM, DMARC, ARC and iprev of one mail.", ("inbound",)
)
AUTHENTICATION_RESULTS = Counter(
    "mailscope_processors_authentication_results_total",
    "Results of authentication, by method (spf, dkim, dmarc, arc, iprev) and word (RFC 8601).",
    ("inbound",),
    ("method", "result"),
)
DNS_QUESTIONS = Counter(
    "mailscope_processors_dns_questions_total",
    "DNS questions, by type, status and whether the cache answered.",
    ("inbound",),
    ("rtype", "status", "cached"),
)
DNS_SECONDS = Histogram("mailscope_processors_dns_seconds", "DNS questions that went to a server.", ("inbound",))
STATUSES = Counter(
    "mailscope_processors_statuses_total",
    "Status changes, by direction and status.",
    PROCESSORS,
    ("direction", "status"),
)
BOUNCES = Counter("mailscope_processors_bounces_total", "Refusals, by bounce class.", PROCESSORS, ("bounce_class",))

# sinks
DELIVERY_ATTEMPTS = Counter(
    "mailscope_delivery_attempts_total",
    "Delivery attempts, by action (deliver, forward) and outcome.",
    ("delivery",),
    ("action", "outcome"),
)
DELIVERY_SECONDS = Histogram(
    "mailscope_delivery_attempt_seconds", "One delivery attempt.", ("delivery",), buckets=(*FAST, 60, 120, 300)
)
HANDLER_CALLS = Counter("mailscope_handlers_calls_total", "Calls of handlers, by outcome.", ("handlers",), ("outcome",))
HANDLER_SECONDS = Histogram("mailscope_handlers_call_seconds", "One call of a handler.", ("handlers",))
IN_FLIGHT = Gauge(
    "mailscope_sinks_commands_in_flight",
    "Commands being worked on, by sink (delivery, handlers).",
    COMMAND_SINKS,
    ("sink",),
)
SINKS_LAG = Gauge(
    "mailscope_sinks_lag_records",
    "Records that wait to be read in the partitions of this process, by sink (delivery, handlers, clickhouse, clickhouse-raw for bodies); "
    "their sum over processes is the lag.",
    (*COMMAND_SINKS, "clickhouse"),
    ("sink",),
)
PARKED = Counter(
    "mailscope_sinks_parked_total",
    "Commands put back untried, because their destination did not answer or was busy, by sink.",
    COMMAND_SINKS,
    ("sink",),
)
SUBSCRIPTION_CALLS = Counter(
    "mailscope_subscriptions_calls_total",
    "Calls of status webhooks, by subscription (a name under `subscriptions`) and outcome (taken, refused, away, gone, put_aside).",
    ("subscriptions",),
    ("subscription", "outcome"),
)
SUBSCRIPTION_CALL_SECONDS = Histogram(
    "mailscope_subscriptions_call_seconds", "One call of a status webhook.", ("subscriptions",)
)
SUBSCRIPTION_UP = Gauge(
    "mailscope_subscription_up",
    "1 while the subscriber takes what it is given, 0 while it fails or is paused, by subscription.",
    ("subscriptions",),
    ("subscription",),
)
SUBSCRIPTION_PAUSED = Gauge(
    "mailscope_subscription_paused",
    "1 while the subscriber is paused: it has failed for `pause_after`, or answered 410, by subscription.",
    ("subscriptions",),
    ("subscription",),
)
SUBSCRIPTION_MISSED = Counter(
    "mailscope_subscriptions_missed_total",
    "Records that expired in the status topics before they could be looked at, by subscription.",
    ("subscriptions",),
    ("subscription",),
)
SUBSCRIPTION_LAG = Gauge(
    "mailscope_subscriptions_lag_records",
    "Records that wait to be read in the partitions of this process, by subscription; their sum over processes is the lag.",
    ("subscriptions",),
    ("subscription",),
)
STORE_ROWS = Counter("mailscope_clickhouse_rows_total", "Rows inserted, by table.", ("clickhouse",), ("table",))
STORE_INSERT_SECONDS = Histogram("mailscope_clickhouse_insert_seconds", "One insert.", ("clickhouse",))
STORE_RETRIES = Counter(
    "mailscope_clickhouse_insert_retries_total",
    "Inserts that had to be repeated because the store was away.",
    ("clickhouse",),
)
STORE_COMPLETE_UNTIL = Gauge(
    "mailscope_clickhouse_complete_until_seconds",
    "Unix time up to which the log is known to be complete.",
    ("clickhouse",),
)

# every stage
DEAD_LETTERS = Counter(
    "mailscope_dead_letters_total",
    "Records put aside as dead letters, by stage and reason.",
    EVERY,
    ("stage", "reason"),
)
KAFKA_ERRORS = Counter(
    "mailscope_kafka_errors_total",
    "What Kafka's clients complain of, by kind: connection, authentication, authorization, fatal, other.",
    EVERY,
    ("kind",),
)

# console
REQUESTS = Counter(
    "mailscope_console_requests_total",
    "HTTP requests, by route and status class (2xx, 4xx, 5xx).",
    ("console",),
    ("route", "status"),
)
REQUEST_SECONDS = Histogram(
    "mailscope_console_request_seconds", "One HTTP request, by route.", ("console",), ("route",)
)
MISSING_MAILS = Gauge(
    "mailscope_console_missing_mails",
    "Mails of the last quarter of an hour of which the log misses something, by what: decision (a message was taken, and nothing is known "
    "of its mail), message (a mail is in the log, its message is not).",
    ("console",),
    ("what",),
)
QUERY_SECONDS = Histogram("mailscope_console_query_seconds", "One query of the log store.", ("console",))


def all_metrics() -> list[Metric]:
    """Every metric, sorted by name."""
    return sorted((one for one in globals().values() if isinstance(one, Metric)), key=lambda one: one.name)
