"""What servers say, and what it means: wordings as they occur, with names changed."""

import pytest

from contracts import clock
from contracts.events import Attempt, Outcome
from contracts.statuses import BounceClass, Reason
from mail.bounces.classify import classify, reason_of

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
    ("554 5.4.14 Hop count exceeded - possible mail loop ATTR34", "soft", "routing_error"),
    ("550 5.7.1 Sender address rejected: not allowed", "block", "sender_rejected"),
    ("550 5.7.0 Local policy violation", "block", "policy_rejected"),
    ("500 5.5.1 Command unrecognized", "soft", "protocol_error"),
    ("550 5.6.1 Body type not supported", "block", "content_rejected"),
    ("421 4.3.2 Service shutting down", "soft", "protocol_error"),
    # Whose domain, host or name it is that was not found decides: only the recipient's is the recipient's fault.
    ("450 4.1.8 <b@ours.test>: Sender address rejected: Domain not found", "soft", "sender_rejected"),
    ("553 5.1.8 <b@ours.test>... Domain of sender address b@ours.test does not exist", "block", "sender_rejected"),
    ("550 5.7.1 <b@ours.test>: Sender address rejected: undeliverable address: User unknown", "block", "sender_rejected"),
    ("450 4.7.1 <mx.ours.test>: Helo command rejected: Host not found", "soft", "policy_rejected"),
    ("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", "soft", "auth_failed"),
    ("550 5.7.1 Client host rejected: IP address 192.0.2.1 not found in reverse DNS", "block", "auth_failed"),
    ("550-5.7.25 The IP address sending this message does not have a PTR record setup", "block", "auth_failed"),
    ("450 4.1.2 <a@x.test>: Recipient address rejected: Domain not found", "soft", "invalid_domain"),
    ("550 No such domain at this location", "hard", "invalid_domain"),
    # A 4xx is not for good, whatever it is about; and what is not about the recipient is never hard.
    ("421 4.7.0 [192.0.2.1] poor reputation of your network", "soft", "reputation_blocked"),
    ("451 4.7.26 SPF of ours.test could not be checked", "soft", "auth_failed"),
    ("550 5.7.30 REQUIRETLS support required", "soft", "tls_failure"),
    ("550 5.4.4 unable to route", "hard", "invalid_domain"),
    ("550 5.4.3 directory server failure", "soft", "protocol_error"),
    ("521 5.3.2 no", "hard", "invalid_domain"),
    # Codes with a meaning of their own (IANA registry).
    ("550 5.7.17 no", "hard", "invalid_recipient"),
    ("550 5.7.18 no", "hard", "invalid_recipient"),
    ("550 5.7.19 no", "block", "policy_rejected"),
    ("525 5.7.13 no", "hard", "inactive_mailbox"),
    ("550 5.7.20 no", "block", "auth_failed"),
    ("550 5.7.22 no", "block", "auth_failed"),
    ("550 5.7.24 no", "block", "auth_failed"),
    ("550 5.7.27 no", "block", "sender_rejected"),
    ("550 5.7.28 no", "soft", "rate_limited"),
    ("550 5.7.29 no", "block", "auth_failed"),
    # A general code decides only after words that say more.
    ("550 5.7.1 Unknown recipient", "hard", "invalid_recipient"),
    ("550 5.0.0 the mailbox is full", "soft", "mailbox_full"),
    ("554 5.7.1 that account has been suspended", "hard", "inactive_mailbox"),
    # No answer is about a connection, not about the mailbox behind it.
    ("450 4.4.1 connect to mx.x.test[192.0.2.9]:25: Connection timed out", "soft", "connection_failed"),
    ("550 5.4.316 Message expired, connection refused(Socket error code 10061)", "soft", "expired"),
    ("450 4.4.3 Name service error for name=x.test type=MX: Host not found, try again", "soft", "dns_failure"),
    # 550 alone is no reason to give an address up.
    ("550 Rejected", "block", "policy_rejected"),
    ("550 Denied by policy", "block", "policy_rejected"),
    ("550 Connection frequency limited [Blocked IP 192.0.2.22]", "soft", "rate_limited"),
    ("550 5.7.1 Service unavailable, Client host 192.0.2.1 blocked, refer to our list", "block", "reputation_blocked"),
    ("550 SC-001 (BAY004-MC1F1) Unfortunately, messages from 192.0.2.1 weren't sent, poor sender", "block", "reputation_blocked"),
    ("553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, the ip is in Spamhaus's list", "block", "reputation_blocked"),
    ("550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents more", "soft", "rate_limited"),
    ("550 5.7.1 Recipient address rejected: User a@x.test temporary locked. Please try again later", "hard", "inactive_mailbox"),
    ("525 5.7.13 Disabled recipient address", "hard", "inactive_mailbox"),
    ("550 Mailbox is frozen. See http://x.test/err/3/", "hard", "inactive_mailbox"),
    ("550 5.2.1 a@x.test is no longer employed here", "hard", "inactive_mailbox"),
    ("550 Requested action not taken: mailbox unavailable", "hard", "invalid_recipient"),
    ("550 <a@x.test> No mailbox by that name is currently available", "hard", "invalid_recipient"),
    ("511 5.1.1 invalid address syntax or unknown alias", "hard", "invalid_recipient"),
    ("550-5.7.1 This message does not have authentication information or fails to pass checks", "block", "auth_failed"),
    ("550 5.7.1 Your email was rejected due to spam classification. Set up SPF and DKIM", "block", "spam_content"),
    ("550-5.7.1 This message is not RFC 5322 compliant. To reduce the amount of spam sent to us", "block", "content_rejected"),
    ("550 5.7.1 Message content rejected, UBE, id=22220-02", "block", "spam_content"),
    ("552 5.7.0 Our system detected an illegal attachment on your message", "block", "attachment_rejected"),
    ("451 4.3.0 Could not complete sender verify callout", "soft", "sender_rejected"),
    ("451 4.7.1 Please try again later", "soft", "greylisted"),
    ("452 4.3.1 Insufficient system storage, try again later", "soft", "mailbox_full"),
    ("454 4.7.0 TLS not available due to local problem", "soft", "tls_failure"),
    ("421 4.2.0 Service refused, please come back", "soft", "rate_limited"),
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


def test_a_bare_550_condemns_the_mailbox_only_where_the_mailbox_was_the_question() -> None:
    for command, expected in (("RCPT", "invalid_recipient"), ("MAIL", "policy_rejected"), ("DATA", "policy_rejected")):
        assert classify(attempt("550 Administrative", command=command)).bounce_class == expected


@pytest.mark.parametrize("command", ["connect", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    "said",
    [
        "550 5.7.1 Service refused: your IP address 192.0.2.1 is on our block list, user unknown to us",
        "554 5.7.1 mx.ours.test[192.0.2.1] blocked using dnsbl.x.test; no such recipient policy",
        "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal visit the delist portal",
        "421 4.7.0 IP not in whitelist for RCPT domain, closing connection: poor sender reputation",
        "550 High probability of spam: the mailbox does not accept it",
        "550 5.7.26 Unauthenticated email from ours.test is not accepted due to domain's DMARC policy, user policy",
    ],
)
def test_what_is_said_of_us_never_condemns_the_address(said: str, command: str) -> None:
    bounce = classify(attempt(said, command=command))
    assert bounce.bounce_type == ("soft" if said.startswith("4") else "block"), bounce.rule
    assert reason_of(bounce) is not Reason.INVALID_ADDRESS


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


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "end-of-data"])
@pytest.mark.parametrize(
    "said",
    [
        "550 5.7.1 Access denied for unknown host [192.0.2.1]",
        "550 5.7.1 Your e-mail contains an invalid signature",
        "550 5.7.1 IP address 192.0.2.1 is not known to us",
        "554 5.7.1 Our policy has changed: mail without TLS is not accepted",
        "550 5.7.1 This system does not accept mail from senders without authentication",
        "550 5.7.1 This server does not accept messages with attachments",
        "550 5.7.0 <a@x.test>: unknown error",
        "554 5.3.0 unknown mailer error 1",
        "550 5.3.0 The recipient server closed the connection",
        "550 5.7.1 The certificate of your host has expired, the name in it was not found",
        "550 5.7.1 Client address not valid",
        "554 5.7.1 The message has invalid headers: From not found",
        "550 5.7.1 The sender address does not exist",
        "550 5.7.1 Sender domain x.test not found",
        "550 5.6.0 The attachment a.exe does not exist in our list of allowed file types",
        "550 5.4.6 mail loop: the address is forwarded to itself",
        "550 5.7.1 Recipient's mailbox is full of spam from your network, which is on a blocklist",
    ],
)
def test_words_about_other_subjects_do_not_condemn_the_address(said: str, command: str) -> None:
    bounce = classify(attempt(said, command=command))
    assert bounce.bounce_type != "hard", (bounce.rule, bounce.bounce_class)
