"""Every metric of every stage, in one place: name, help with its label values, labels. docs/metrics.md is generated from here.

Labels are closed sets; never an address, a domain or an id. Durations are seconds, sizes octets.
"""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# ingest: the SMTP receiver and the send hook
smtp_connections = Gauge("mailscope_ingest_connections", "Open SMTP connections.")
smtp_messages = Counter(
    "mailscope_ingest_messages_total",
    "Messages at the end of DATA, by reply: accepted (250), refused (5xx), deferred (4xx, trouble of ours).",
    ["reply"],
)
smtp_refused_recipients = Counter(
    "mailscope_ingest_refused_recipients_total", "Recipients refused at RCPT.", ["reason"]
)
smtp_octets = Counter("mailscope_ingest_message_octets_total", "Octets of the messages that Kafka acknowledged.")
smtp_ack_seconds = Histogram(
    "mailscope_ingest_ack_seconds", "From the last octet of a message to Kafka's acknowledgement.", buckets=FAST
)
smtp_verdict_seconds = Histogram(
    "mailscope_ingest_verdict_seconds", "From Kafka's acknowledgement to the verdict of the processors.", buckets=FAST
)
smtp_verdict_timeouts = Counter(
    "mailscope_ingest_verdict_timeouts_total", "Messages answered 250 without a verdict in time."
)
smtp_waiting = Gauge(
    "mailscope_ingest_verdict_waiting", "1 while senders wait for verdicts, 0 after time-outs in a row."
)
sends = Counter(
    "mailscope_ingest_sends_total",
    "Messages given to the send hook, by result: accepted, invalid, unavailable.",
    ["result"],
)

# processors
processed = Counter(
    "mailscope_processors_records_total",
    "Records processed, by app (inbound, outcomes) and result (done, dead_letter).",
    ["app", "result"],
)
process_seconds = Histogram(
    "mailscope_processors_record_seconds",
    "From reading a record to the acknowledgement of its results.",
    ["app"],
    buckets=FAST,
)
processors_lag = Gauge("mailscope_processors_lag_records", "Records that wait to be processed, by app.", ["app"])
authentication_seconds = Histogram(
    "mailscope_processors_authentication_seconds", "SPF, DKIM, DMARC, ARC and iprev of one mail.", buckets=FAST
)
authentication_results = Counter(
    "mailscope_processors_authentication_results_total",
    "Results of authentication, by method (spf, dkim, dmarc, arc, iprev) and word (RFC 8601).",
    ["method", "result"],
)
dns_questions = Counter(
    "mailscope_processors_dns_questions_total",
    "DNS questions, by type, status and whether the cache answered.",
    ["rtype", "status", "cached"],
)
dns_seconds = Histogram("mailscope_processors_dns_seconds", "DNS questions that went to a server.", buckets=FAST)
statuses = Counter(
    "mailscope_processors_statuses_total", "Status changes, by direction and status.", ["direction", "status"]
)
bounces = Counter("mailscope_processors_bounces_total", "Refusals, by bounce class.", ["bounce_class"])

# sinks
delivery_attempts = Counter(
    "mailscope_delivery_attempts_total",
    "Delivery attempts, by action (deliver, forward) and outcome.",
    ["action", "outcome"],
)
delivery_seconds = Histogram(
    "mailscope_delivery_attempt_seconds", "One delivery attempt.", buckets=(*FAST, 60, 120, 300)
)
handler_calls = Counter("mailscope_handlers_calls_total", "Calls of handlers, by outcome.", ["outcome"])
handler_seconds = Histogram("mailscope_handlers_call_seconds", "One call of a handler.", buckets=FAST)
in_flight = Gauge(
    "mailscope_sinks_commands_in_flight", "Commands being worked on, by sink (delivery, handlers).", ["sink"]
)
store_rows = Counter("mailscope_clickhouse_rows_total", "Rows inserted, by table.", ["table"])
store_insert_seconds = Histogram("mailscope_clickhouse_insert_seconds", "One insert.", buckets=FAST)
store_retries = Counter(
    "mailscope_clickhouse_insert_retries_total", "Inserts that had to be repeated because the store was away."
)
store_complete_until = Gauge(
    "mailscope_clickhouse_complete_until_seconds", "Unix time up to which the log is known to be complete."
)
dead_letters = Counter(
    "mailscope_dead_letters_total", "Records put aside as dead letters, by stage and reason.", ["stage", "reason"]
)

# console
requests = Counter(
    "mailscope_console_requests_total", "HTTP requests, by route and status class (2xx, 4xx, 5xx).", ["route", "status"]
)
request_seconds = Histogram("mailscope_console_request_seconds", "One HTTP request, by route.", ["route"], buckets=FAST)
query_seconds = Histogram("mailscope_console_query_seconds", "One query of the log store.", buckets=FAST)


def describe() -> list[tuple[str, str, str, list[str]]]:
    """(name, type, help, labels) of every metric of ours, sorted by name."""
    found = []
    for collector in set(REGISTRY._collector_to_names):
        name = getattr(collector, "_name", "")
        if name.startswith("mailscope_"):
            kind = type(collector).__name__.lower()
            full = f"{name}_total" if kind == "counter" else name
            found.append((full, kind, collector._documentation, list(collector._labelnames)))  # type: ignore[attr-defined]
    return sorted(found)
