"""What servers say, and what it means: wordings as they occur, with names changed."""

import pytest

from contracts import clock
from contracts.events import Attempt, Outcome
from contracts.statuses import BounceClass, Reason
from processors.classify import RULES, classify, reason_of

SAID = [
    ("550 5.1.1 <a@x.test>: Recipient address rejected: User unknown in virtual mailbox table", "hard", "invalid_recipient"),
    ("550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking", "hard", "invalid_recipient"),
    ("550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", "hard", "invalid_recipient"),
    ("554 delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.test)", "hard", "invalid_recipient"),
    ("550 No such user here", "hard", "invalid_recipient"),
    ("550 5.1.1 <spam@x.test>: user unknown", "hard", "invalid_recipient"),
    ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "hard", "invalid_recipient"),
    ("553 5.3.0 <a@x.test>... Unknown recipient", "hard", "invalid_recipient"),
    ("550 5.2.1 The email account that you tried to reach is disabled", "hard", "inactive_mailbox"),
    ("554 30 Sorry, your message to a@y.test cannot be delivered. This mailbox is disabled (554.30)", "hard", "inactive_mailbox"),
    ("552 5.2.2 The recipient's inbox is out of storage space", "soft", "mailbox_full"),
    ("452 4.2.2 The email account that you tried to reach is over quota", "soft", "mailbox_full"),
    ("552 Requested mail action aborted: exceeded storage allocation, mailbox full", "soft", "mailbox_full"),
    ("550 5.1.2 Bad destination system address", "hard", "invalid_domain"),
    ("550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires SPF or DKIM", "block", "auth_failed"),
    ("550 5.7.515 Access denied, sending domain x.test does not meet the required authentication level", "block", "auth_failed"),
    ("550 5.7.509 Access denied, sending domain x.test does not pass DMARC verification", "block", "auth_failed"),
    ("550 5.7.1 [192.0.2.1 12] Our system has detected that this message is likely unsolicited mail", "block", "spam_content"),
    ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "block", "reputation_blocked"),
    ("550 5.7.1 messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3140)", "block", "reputation_blocked"),
    ("550 5.7.1 Message rejected due to the very low reputation of the sending domain", "block", "reputation_blocked"),
    ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", "soft", "rate_limited"),
    ("421 4.7.28 Our system has detected an unusual rate of mail; rate limited", "soft", "rate_limited"),
    ("450 4.2.0 <a@x.test>: Recipient address rejected: Greylisted, see http://postgrey.test/help", "soft", "greylisted"),
    ("451 4.7.1 Greylisting in action, please come back later", "soft", "greylisted"),
    ("552 5.3.4 Message size exceeds fixed limit", "soft", "message_too_large"),
    ("554 5.7.1 <a@x.test>: Relay access denied", "block", "relay_denied"),
    ("552 5.7.0 This message was blocked because its content presents a virus", "block", "virus"),
    ("554 5.4.14 Hop count exceeded - possible mail loop ATTR34", "hard", "routing_error"),
    ("550 5.7.1 Sender address rejected: not allowed", "block", "sender_rejected"),
    ("550 5.7.0 Local policy violation", "block", "policy_rejected"),
    ("500 5.5.1 Command unrecognized", "hard", "protocol_error"),
    ("550 5.6.1 Body type not supported", "block", "content_rejected"),
    ("421 4.3.2 Service shutting down", "soft", "rate_limited"),
]  # fmt: skip


def attempt(said: str, **fields: object) -> Attempt:
    code, text = int(said[:3]), said[4:]
    enhanced = text.split()[0] if text[1:2] == "." else ""
    outcome = Outcome.TEMPORARY if code < 500 else Outcome.PERMANENT
    base = {"number": 1, "target": "a@x.test", "outcome": outcome, "started_at": clock.now(), "command": "RCPT"}
    return Attempt(**{**base, "code": code, "enhanced_code": enhanced, "text": text, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(("said", "bounce_type", "bounce_class"), SAID, ids=[said[:60] for said, _, _ in SAID])
def test_an_answer_has_its_class(said: str, bounce_type: str, bounce_class: str) -> None:
    bounce = classify(attempt(said))
    assert (bounce.bounce_type, bounce.bounce_class) == (bounce_type, bounce_class), bounce.rule
    assert bounce.text == said[4:] and bounce.rule and bounce.rules_version


def test_nobody_answered() -> None:
    silent = {"code": 0, "outcome": Outcome.TEMPORARY, "enhanced_code": ""}
    for command, expected in (("connect", "connection_failed"), ("lookup", "dns_failure"), ("STARTTLS", "tls_failure")):
        assert classify(attempt("000 refused", command=command, **silent)).bounce_class == expected


def test_what_ran_out_of_time_has_expired_whatever_was_said_last() -> None:
    bounce = classify(attempt("451 4.7.1 Greylisted", reason=Reason.EXPIRED, outcome=Outcome.PERMANENT))
    assert bounce.bounce_class is BounceClass.EXPIRED and reason_of(bounce) is Reason.EXPIRED


def test_a_word_nobody_knows_is_unknown() -> None:
    bounce = classify(attempt("599 whatever"))
    assert (bounce.bounce_type, bounce.bounce_class, bounce.rule) == ("undetermined", "unknown", "none")


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
