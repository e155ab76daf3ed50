"""docs/schemas/ and docs/asyncapi.json: what stands on Kafka, for machines."""

from collections.abc import Iterator
from typing import Any

import msgspec

from contracts import topics
from contracts.audit import AuditEntry
from contracts.dependency_settings import Store
from contracts.erasures import Erasure
from contracts.events import (
    AttemptReport,
    Connectivity,
    DeadLetter,
    Dispatch,
    LateNews,
    MailEvent,
    StatusChange,
    Verdict,
)
from contracts.preferences import Preference
from contracts.raw_message import Envelope
from contracts.settings import Delivery
from contracts.shared_state import Claim, MailboxNote, QuotaTicket, Thread, Token
from contracts.subscriptions import SubscriberCall, SubscriberState
from contracts.suppressions import Suppression

EVENTS = {
    "status-change": (
        StatusChange,
        "mailscope.mail.",
        "A change of status: `mail.status.inbound` and `mail.status.outbound`.",
    ),
    "mail-event": (MailEvent, "mailscope.event.", "A line of a mail's timeline: `mail.events`."),
    "dispatch": (Dispatch, "mailscope.dispatch.", "A command: `mail.dispatch` and its retry topics."),
    "attempt-report": (AttemptReport, "mailscope.attempt.", "What one attempt did: `mail.attempts`."),
    "late-news": (LateNews, "mailscope.news.", "What came back about a mail that we sent: `mail.attempts`."),
    "verdict": (Verdict, "mailscope.verdict.", "What a waiting receiver shall answer: `mail.verdicts`."),
    "audit-entry": (AuditEntry, "mailscope.audit.", "Who did what with the log: `mail.audit`."),
    "erasure": (Erasure, "mailscope.erasure.", "An address that was erased on request: `mail.erasures`."),
    "connectivity": (Connectivity, "mailscope.connectivity.", "The health of a channel changed: `mail.connectivity`."),
    "subscriber-state": (
        SubscriberState,
        "mailscope.subscription.",
        "How the subscriber of a status webhook is doing: `mail.subscriptions`.",
    ),
    "subscriber-call": (SubscriberCall, "mailscope.call.", "One call of a status webhook: `mail.calls`."),
    "token": (Token, "mailscope.token.", "An API token, known by its hash: `mail.tokens`."),
    "claim": (Claim, "mailscope.claim.", "A claim on what only one may do, such as an Idempotency-Key: `mail.claims`."),
    "quota-ticket": (QuotaTicket, "mailscope.quota.", "A mail that takes from its domain's quota: `mail.quotas`."),
    "thread": (Thread, "mailscope.thread.", "The request that a mail belongs to: `mail.threads`."),
    "mailbox-note": (MailboxNote, "mailscope.mailbox.", "What the poller of a mailbox has done: `mail.mailboxes`."),
    "suppression": (
        Suppression,
        "mailscope.suppression.",
        "What holds for an address of the suppression list, with its history: `mail.suppressions`.",
    ),
    "preference": (
        Preference,
        "mailscope.preference.",
        "What a recipient wishes, with its history: `mail.preferences`.",
    ),
}


def event_schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, JSON Schema) of every event and of the two headers."""
    for name in EVENTS:
        yield name, event_schema(name)
    yield "raw-envelope", _plain_schema("raw-envelope", Envelope, "The header `mailscope-envelope` of `mail.raw`.")
    yield (
        "dead-letter",
        _plain_schema("dead-letter", DeadLetter, "The header `mailscope-dead-letter` of `mail.deadletter`."),
    )


def event_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a whole CloudEvent."""
    kind, prefix, description = EVENTS[name]
    (data,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://mailscope.dev/schemas/{name}.json",
        "title": kind.__name__,
        "description": description,
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {
                "type": "string",
                "format": "uuid",
                "description": "The same for the same change: drop repetitions by it.",
            },
            "source": {"type": "string", "description": "The stage that wrote it."},
            "type": {"type": "string", "pattern": "^" + prefix.replace(".", "\\.")},
            "time": {"type": "string", "format": "date-time"},
            "subject": {"type": "string", "description": "The recipient, or what else it is about."},
            "datacontenttype": {"const": "application/json"},
            "data": data,
        },
        "$defs": definitions,
    }


def _plain_schema(name: str, kind: type, description: str) -> dict[str, Any]:
    (root,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://mailscope.dev/schemas/{name}.json",
    }
    return {**head, "description": description, **root, "$defs": definitions}


def describe_channels(generated: str) -> dict[str, Any]:
    """The AsyncAPI document; `generated` says where it comes from."""
    schema_of = {kind.__name__: name for name, (kind, _, _) in EVENTS.items()}
    channels = {}
    for topic in default_topics():
        schema = schema_of.get(topic.value)
        payload = {"$ref": f"schemas/{schema}.json"} if schema else {"description": topic.value}
        channels[topic.name] = {
            "address": topic.name,
            "description": f"Key: {topic.key}. {'Public.' if topic.public else 'Between our own stages.'}",
            "messages": {
                topic.value.split(" ")[0].split(",")[0]: {
                    "contentType": _content(topic),
                    "payload": payload,
                    "bindings": {
                        "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}
                    },
                }
            },
        }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Mailscope", "version": "1", "description": "Events of every mail, on Kafka. " + generated},
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": {
            f"receive {topic.name}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}
            for topic in default_topics()
            if topic.public
        },
    }


def default_topics() -> list[topics.Topic]:
    """Every topic, with the retry topics of the default delays."""
    delivery = Delivery()
    return topics.all_topics(delivery.retry_names, delivery.expire, Store().retention)


def _content(topic: topics.Topic) -> str:
    return "message/rfc822" if topic.name == topics.RAW else "application/cloudevents+json"
