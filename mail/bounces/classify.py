"""What a refusal means: bounce type and class, from the code, the enhanced code and the text (RFC 3463, RFC 5248).

The rules are data (`rules.yaml`), tried in order; the first one that holds decides, and its id and the version of the set stand beside
the answer. A rule that cannot be used stops the process when this module is imported.
"""

import re
from pathlib import Path

from contracts.events import Attempt, Bounce, Outcome
from contracts.statuses import BounceClass as C
from contracts.statuses import BounceType as T
from contracts.statuses import Reason
from mail.bounces.load_rules import Reply, load_rules

RULES = load_rules(Path(__file__).with_name("rules.yaml").read_text("utf-8"))
_HARD = {C.INVALID_RECIPIENT, C.INVALID_DOMAIN, C.INACTIVE_MAILBOX}
_BLOCK = {
    C.REPUTATION_BLOCKED,
    C.SPAM_CONTENT,
    C.CONTENT_REJECTED,
    C.ATTACHMENT_REJECTED,
    C.VIRUS,
    C.AUTH_FAILED,
    C.POLICY_REJECTED,
    C.RELAY_DENIED,
    C.SENDER_REJECTED,
}
_ADDRESS = re.compile(r"[^\s<>()]{1,320}@[^\s<>()]{1,320}")
_ENHANCED = re.compile(r"\b[245]\.(\d{1,3}\.\d{1,3})\b")
_REASONS = {
    C.INVALID_RECIPIENT: Reason.INVALID_ADDRESS,
    C.INVALID_DOMAIN: Reason.INVALID_ADDRESS,
    C.INACTIVE_MAILBOX: Reason.INVALID_ADDRESS,
    C.MESSAGE_TOO_LARGE: Reason.MESSAGE_TOO_LARGE,
    C.AUTH_FAILED: Reason.AUTHENTICATION_ERROR,
    C.EXPIRED: Reason.EXPIRED,
}


def classify(attempt: Attempt) -> Bounce:
    """Type and class of one refused attempt. Always answers; what no rule knows is undetermined/unknown."""
    bounce_class, rule = _class_of(attempt)
    return Bounce(
        bounce_type=_type_of(bounce_class, attempt),
        bounce_class=bounce_class,
        rule=rule,
        rules_version=RULES.version,
        code=attempt.code,
        enhanced_code=attempt.enhanced_code,
        text=attempt.text[:2000],
        command=attempt.command,
        host=attempt.host,
    )


def reason_of(bounce: Bounce) -> Reason:
    """The support person's word for a bounce."""
    return _REASONS.get(bounce.bounce_class, Reason.PROVIDER_REJECTED)


def _class_of(attempt: Attempt) -> tuple[C, str]:
    if attempt.reason is Reason.EXPIRED:
        return C.EXPIRED, "ours.expired"
    if attempt.reason is Reason.INVALID_ADDRESS:
        return C.INVALID_DOMAIN, "ours.no-such-domain"
    if not attempt.code and attempt.outcome is Outcome.PERMANENT and attempt.command == "EHLO":
        return C.PROTOCOL_ERROR, "ours.no-smtputf8"
    if not attempt.code:
        unanswered = {"lookup": C.DNS_FAILURE, "STARTTLS": C.TLS_FAILURE}
        return unanswered.get(attempt.command, C.CONNECTION_FAILED), f"ours.{attempt.command.lower() or 'connect'}"
    found = _ENHANCED.search(attempt.enhanced_code)
    subject = found[1] if found else ""
    if subject in ("", "0.0"):
        inside = _ENHANCED.search(attempt.text)
        subject = inside[1] if inside else subject
    words = _ADDRESS.sub(" ", attempt.text[:4000])  # spam@example.org says nothing about spam
    reply = Reply(words, subject, str(attempt.code), attempt.command, attempt.host)
    for rule in RULES.rules:
        if rule.holds(reply):
            return rule.bounce_class, rule.id
    return C.UNKNOWN, "none"


def _type_of(bounce_class: C, attempt: Attempt) -> T:
    if attempt.reason is Reason.UNROUTABLE:
        return T.ADMIN
    if bounce_class in _BLOCK:
        return T.BLOCK
    if bounce_class is C.UNKNOWN:
        return T.UNDETERMINED
    if attempt.outcome is Outcome.TEMPORARY:
        return T.SOFT
    if bounce_class in _HARD:
        return T.HARD
    if bounce_class in (C.MAILBOX_FULL, C.MESSAGE_TOO_LARGE, C.EXPIRED, C.RATE_LIMITED, C.GREYLISTED):
        return T.SOFT
    return T.HARD if attempt.code >= 500 else T.SOFT
