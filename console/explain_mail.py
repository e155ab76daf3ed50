"""What happened to a mail, and why, in plain sentences. Pure: an item of the API in, words out."""

from typing import Any

from contracts.statuses import Direction, Reason, Status

# What a colour means: good (arrived), wait (still under way), bad (did not arrive), stop (refused on purpose), calm.
TONES = {
    Status.RECEIVED: "info",
    Status.FORWARDED: "good",
    Status.PROCESSED: "good",
    Status.SKIPPED: "calm",
    Status.DROPPED: "calm",
    Status.REJECTED: "stop",
    Status.SENT: "info",
    Status.DEFERRED: "wait",
    Status.DELIVERED: "good",
    Status.DELIVERY_FAILED: "bad",
    Status.FAILED: "bad",
    Status.COMPLAINED: "stop",
    Status.UNSUBSCRIBED: "calm",
}
# Why we refused or dropped it, as the end of a sentence.
_BECAUSE: dict[str | None, str] = {
    Reason.UNKNOWN_RECIPIENT: "there is no such address here",
    Reason.SPF_FAIL: "SPF failed",
    Reason.DKIM_FAIL: "DKIM failed",
    Reason.DMARC_REJECT: "DMARC failed, and the author’s domain asks to refuse such mail",
    Reason.DMARC_QUARANTINE: "DMARC failed, and the author’s domain asks to quarantine such mail",
    Reason.BAD_FROM: "its From is not one readable address",
    Reason.AUTH_TEMPERROR: "DNS did not tell what our policy needs to know, and the sender was told to try again",
    Reason.POLICY: "a rule of ours does not take it",
    Reason.RULE: "a rule of ours says so",
    Reason.NO_ROUTE: "no route of ours takes it",
    Reason.RELAY_DENIED: "we receive no mail for that address",
    Reason.LOOP: "it went round in a circle",
    Reason.REPORT: "it is a report about a mail of ours, and was read",
    Reason.UNMATCHED: "it is a report that names no mail of ours",
}
# Why no application gets it, as the end of a sentence.
_SKIPPED: dict[str | None, str] = {
    Reason.AUTO_REPLY: "it is an automatic answer",
    Reason.LOOP: "it is from the channel itself",
    Reason.BULK: "it is from a list, or mass mail",
    Reason.SENDER_BLOCKED: "its sender is blocked here",
    Reason.EMPTY: "there is nothing in it",
    Reason.DUPLICATE: "we have got it before",
}
# Why a mail of ours never left, as the end of a sentence.
_NOT_SENT: dict[str | None, str] = {
    Reason.INVALID_ADDRESS: "this is no mail address",
    Reason.MESSAGE_TOO_LARGE: "the message is larger than we send",
    Reason.QUOTA_EXCEEDED: "the sender’s quota is used up",
    Reason.PRIVATE_ADDRESS: "the recipient wants no mail from us",
    Reason.UNSUBSCRIBED: "the recipient has unsubscribed",
    Reason.UNROUTABLE: "the domain’s servers are none that we may connect to",
    Reason.CONFIGURATION_ERROR: "sending is not set up for it",
    Reason.AUTHENTICATION_ERROR: "nobody could verify that it is from us",
}
AUTH_TONES = {
    "pass": "good",
    "fail": "bad",
    "permerror": "bad",
    "softfail": "wait",
    "policy": "wait",
    "temperror": "wait",
    "neutral": "calm",
    "none": "calm",
}


def tone(status: str) -> str:
    """The tone of a status; unknown words are calm."""
    return TONES.get(Status(status), "calm") if status in frozenset(Status) else "calm"


def auth_tone(word: str) -> str:
    """The tone of a word of RFC 8601; unknown words are calm."""
    return AUTH_TONES.get(word, "calm")


def words(name: str) -> str:
    """`delivery_failed` as people read it."""
    return name.replace("_", " ")


def what_happened(item: dict[str, Any]) -> str:
    """One sentence for one recipient, without the evidence."""
    status = item["status"]
    sentence = {
        Status.RECEIVED: "Received, and being routed now.",
        Status.FORWARDED: "Forwarded: every target of the forward accepted it.",
        Status.SENT: "Accepted and queued; the first delivery attempt comes next.",
    }.get(status)
    if sentence:
        return sentence
    if status == Status.DROPPED:
        return f"Accepted and dropped on purpose: {_BECAUSE.get(item['reason'], 'a rule says so')}."
    if status == Status.SKIPPED:
        because = _SKIPPED.get(item["reason"])
        return (
            f"It becomes no request: {because}." if because else "The application read it and chose not to act on it."
        )
    if status == Status.PROCESSED:
        reference = item["reference"]
        became = "was added to" if (item["detail"] or "").startswith("added to ") else "became"
        return f"The application took it: it {became} {reference}." if reference else "The application took it."
    if status == Status.DELIVERED:
        return (
            f"Delivered: {item['host'] or 'the recipient’s server'} accepted it{_tries(item, 'at attempt')}. "
            "Whether it reached the inbox, no server tells."
        )
    return _trouble(item)


def why_line(item: dict[str, Any]) -> str:
    """Why, in one line of the list: what the stage said, or else what the status means."""
    detail: str = item["detail"] or ""
    return detail or what_happened(item)


def author(item: dict[str, Any]) -> str:
    """Who wrote it, as far as the mail says."""
    name: str = item["from_name"] or item["from"] or item["envelope_from"]
    return name or "null sender <>"


def _trouble(item: dict[str, Any]) -> str:
    status, outbound = item["status"], item["direction"] == Direction.OUTBOUND
    if status == Status.REJECTED:
        if outbound:
            return "Not sent: the address is on the suppression list."
        because = _BECAUSE.get(item["reason"], "our policy does not take it")
        if item["late"]:
            return f"Refused too late, when the sender had been told that we took it: {because}."
        return f"Refused in the SMTP dialogue: {because}."
    if status == Status.DEFERRED:
        return f"Not there yet{_tries(item, 'after attempt')}; it is being tried again."
    if status == Status.DELIVERY_FAILED:
        if item["late"]:
            return "It bounced later: the server had accepted it first."
        if item["reason"] == Reason.EXPIRED:
            return f"Given up{_tries(item, 'after attempt')}: the time to deliver it ran out."
        if not outbound:
            return f"The forward bounced{_tries(item, 'at attempt')}."
        if not item.get("smtp_code") and not item["host"]:
            return (
                f"Could not be delivered{_tries(item, 'after attempt')}: no server of the recipient’s took part in it."
            )
        return f"Bounced: {item['host'] or 'the recipient’s side'} refused it for good{_tries(item, 'at attempt')}."
    if status == Status.FAILED:
        if not outbound:
            return "We took it, but could not process it."
        return f"Not sent: {_NOT_SENT.get(item['reason'], 'the trouble is on our side')}."
    return f"{words(status).capitalize()}."


def _tries(item: dict[str, Any], word: str) -> str:
    many = item["attempts"] > (0 if word.startswith("after") else 1)
    return f" {word} {item['attempts']}" if many else ""
