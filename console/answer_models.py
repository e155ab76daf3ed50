"""The shape of answers that are written as they come from the log, for OpenAPI: what is served is not checked against it, a test does."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from contracts.suppressions import SuppressionReason

MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"


def of(what: str, example: Any = None) -> Any:
    """A field that is always there."""
    return Field(description=what, examples=[] if example is None else [example])


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Item(Model):
    mail_id: str = of("The mail.", MAIL_ID)
    recipient: str = of("As addressed to us (inbound), as sent to (outbound).", "anna@example.net")
    direction: Direction = of("Which way.", "outbound")
    status: Status = of("What holds now.", "delivery_failed")
    terminal: bool = of("No further change is expected.")
    late: bool = of("It came after the sender had been told otherwise.")
    reason: Reason | None = of("Why it did not simply go through.", "invalid_address")
    detail: str | None = of("One sentence for people.", "mx.example.net answered 550 5.1.1 User unknown to RCPT")
    from_: str | None = Field(alias="from", description="The address of the author.", examples=["desk@example.com"])
    from_name: str | None = of("The author's name.", "Desk")
    envelope_from: str = of("The envelope sender; empty: the null sender.")
    subject: str = of("The subject.", "Request created")
    message_id: str | None = of("Without its brackets.", "1@example.com")
    reference: str | None = of("The application's key.", "IT-42")
    channel: str | None = of("The channel that it came by.")
    stream: str | None = of("The kind of mail.", "invitation")
    template: str | None = of("The template's name.", "Request created")
    tag: str | None = of("Any word of the application.")
    received_at: str = of("When we got it.", "2026-11-27T12:03:04.120Z")
    updated_at: str = of("When its status was last changed.", "2026-11-27T12:03:05.001Z")
    size: int = of("Octets of the message; 0: it was refused before it came.", 1234)
    spf: str = of("The word of RFC 8601.", "pass")
    dkim: str = of("The word of RFC 8601.", "pass")
    dmarc: str = of("The word of RFC 8601.", "pass")
    arc: str = of("The word of RFC 8601.", "none")
    iprev: str = of("The word of RFC 8601.", "pass")
    bounce_type: BounceType | None = of("How final a refusal is.", "hard")
    bounce_class: BounceClass | None = of("What a refusal means.", "invalid_recipient")
    smtp_code: int | None = of("Of the answer that decided.", 550)
    enhanced_code: str | None = of("Of that answer (RFC 3463).", "5.1.1")
    smtp_text: str | None = of("Its text, whole.", "5.1.1 User unknown")
    host: str | None = of("The server that gave it.", "mx.example.net")
    provider: str | None = of("Who runs that server, by its registrable domain.", "example.net")
    source: str | None = of("The mail server that delivers it, where that is not us.")
    attempts: int = of("How many were made.", 1)
    next_attempt_at: str | None = of("When the next one is due.")
    peer_ip: str | None = of("From where it came.")
    helo: str | None = of("How that host called itself.")
    raw_available: bool = of("Whether the message itself can be had.")
    expires_at: str = of("Until when the log keeps it.")


class MailsPage(Model):
    items: list[Item] = of("Rows, newest first.")
    next_cursor: str | None = of("For the next page; null on the last one.")
    complete_until: str | None = of("Up to when the log is known to be complete; null: not known.")


class Advice(Model):
    turn: str = of("Whose turn it is: us, sender, recipient, provider or nobody.", "recipient")
    text: str = of("What they can do.", "Do not send there again: check the address with the recipient.")


class Recipient(Item):
    advice: Advice | None = of("What can be done; null where nothing is wrong.")


class NamedValue(Model):
    name: str = of("Its name.", "Subject")
    value: str = of("Its value.", "Request created")


class MailEvent(BaseModel):
    mail_id: str = of("The mail.", MAIL_ID)
    recipient: str = of("For whom.")
    status: Status = of("What holds since then.")
    occurred_at: str = of("When.")
    round: int = Field(0, description="How often it had been redelivered by then.")
    attempt: int = of("The attempt; 0: before any.")
    detail: str = of("One sentence for people.")


class Attempt(BaseModel):
    recipient: str = of("For whom.")
    number: int = of("1 is the first.")
    target: str = of("The address, or the handler.")
    started_at: str = of("When.")
    duration_ms: int = of("How long it took.")
    host: str = of("The server that answered.")
    ip: str = of("Its address.")
    tls: str = of("Version and cipher; empty: in the clear.")
    command: str = of("What was answered.")
    code: int = of("The reply's code; 0: nobody answered.")
    enhanced_code: str = of("RFC 3463.")
    text: str = of("The whole answer.")
    next_attempt_at: str | None = of("When the next one was due.")


class Guideline(Model):
    name: str = of("What large receivers ask.", "dkim_aligned")
    met: bool | None = of("Whether it is met; null: not known.")
    detail: str = of("How that is known.")


class Mail(Model):
    mail_id: str = of("The mail.", MAIL_ID)
    direction: Direction = of("Which way.")
    from_: str | None = Field(alias="from", description="The address of the author.")
    subject: str = of("The subject.")
    message_id: str | None = of("Without its brackets.")
    received_at: str = of("When we got it.")
    size: int = of("Octets of the message.")
    raw_available: bool = of("Whether the message itself can be had.")
    recipients: list[Recipient] = of("One a recipient.")
    auth: dict[str, Any] | None = of("Every check with its evidence; null where none was made.")
    headers: list[NamedValue] = of("Its header, in order.")
    events: list[MailEvent] = of("The timeline, oldest first.")
    attempts: list[Attempt] = of("Every attempt with its whole answer.")
    references: list[str] = of("Message-IDs that it names, oldest first.")
    guidelines: list[Guideline] = of("What large receivers ask, and whether it is met.")


class Channel(Model):
    name: str = of("As mailscope.yaml names it.", "helpdesk")
    kind: str = of("hosted, or mailbox: polled over IMAP.", "hosted")
    address: str | None = of("Its address.", "support@example.com")
    handler: str | None = of("The handler that gets its mail, where the channel says so.")
    state: str | None = of("hosted; of a mailbox how its connection does; null: nothing is known yet.", "connected")
    since: str | None = of("Since when.")
    detail: str | None = of("The server's text.")


class Channels(Model):
    items: list[Channel] = of("In the order of mailscope.yaml.")


class ConnectivityRow(BaseModel):
    state: str = of("What happened.", "auth_failed")
    occurred_at: str = of("When it began.")
    ended_at: str | None = of("When it was over; null: it lasts.")
    detail: str | None = of("The server's text.")
    delayed: int = of("Mails that came late by it.")


class Connectivity(Model):
    items: list[ConnectivityRow] = of("The newest first.")


class ProcessedItem(Item):
    nearest: str | None = of("Of a refused recipient: the address that was probably meant.")


class Processed(Model):
    items: list[ProcessedItem] = of("Rows, newest first.")
    next_cursor: str | None = of("For the next page; null on the last one.")


class SuppressionEntry(BaseModel):
    address: str = of("The address.", "anna@example.net")
    active: bool = of("Nothing is sent to it.")
    reason: SuppressionReason = of("Why.")
    since: str = of("Since when.")
    expires_at: str | None = of("When it leaves the list by itself; null: never.")
    note: str = of("Anything, for people.")
    mail_id: str = of("The mail that is the evidence; empty: none.")
    by: str = of("Who said so.")


class ListedSuppression(SuppressionEntry):
    stopped: int | None = of("Mails that the list has stopped since then; null: not counted now.", 3)


class SuppressionsPage(Model):
    items: list[ListedSuppression] = of("By address.")
    next_cursor: str | None = of("For the next page; null on the last one.")


class SuppressionHistory(Model):
    items: list[dict[str, Any]] = of("The newest first: action, at, by, reason, note, mail_id.")


class SuppressionResults(Model):
    counts: dict[str, int] = of("How many of each result.", {"added": 2, "error": 1})
    results: list[dict[str, Any]] = of("One a line or address: result, address, and why where it is an error.")


class PreferenceEntry(BaseModel):
    address: str = of("The address.")
    private: bool = of("It wants no mail from us.")
    unsubscribed: list[str] = of("Streams that it wants no mail of; `*` is every stream.")
    updated_at: str = of("When that was last changed.")
    changes: list[dict[str, Any]] = of("Its history, oldest first.")


ANSWERS: dict[tuple[str, str], type[BaseModel]] = {
    ("GET", "/api/v1/mails"): MailsPage,
    ("GET", "/api/v1/mails/{mail_id}"): Mail,
    ("GET", "/api/v1/channels"): Channels,
    ("GET", "/api/v1/channels/{name}/connectivity"): Connectivity,
    ("GET", "/api/v1/channels/{name}/mails"): Processed,
    ("GET", "/api/v1/suppressions"): SuppressionsPage,
    ("GET", "/api/v1/suppressions/{address}"): SuppressionEntry,
    ("PUT", "/api/v1/suppressions/{address}"): SuppressionEntry,
    ("DELETE", "/api/v1/suppressions/{address}"): SuppressionEntry,
    ("GET", "/api/v1/suppressions/{address}/history"): SuppressionHistory,
    ("POST", "/api/v1/suppressions:remove"): SuppressionResults,
    ("POST", "/api/v1/suppressions:import"): SuppressionResults,
    ("GET", "/api/v1/preferences/{address}"): PreferenceEntry,
    ("PUT", "/api/v1/preferences/{address}"): PreferenceEntry,
    ("DELETE", "/api/v1/preferences/{address}"): PreferenceEntry,
}
