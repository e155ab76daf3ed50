"""What a refusal means: bounce type and class, from the code, the enhanced code and the text (RFC 3463, RFC 5248).

The rules are data (`rules.yaml`), tried in order; the first one that holds decides, and its id and the version of the set stand beside
the answer. A rule that cannot be used stops the process when this module is imported.
"""

from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from contracts.events import Attempt, Bounce, Outcome
from contracts.statuses import BounceClass as C
from contracts.statuses import BounceType as T
from contracts.statuses import Reason
from mail.bounces.load_rules import Rule, load_rules
from mail.bounces.normalise import Clues, normalise
from mail.bounces.reply import Reply

RULES = load_rules(Path(__file__).with_name("rules.yaml").read_text("utf-8"))
MAX_TEXT = 2000  # characters of the answer that stand in a bounce
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
_UNDETERMINED = {C.UNKNOWN, C.AUTO_REPLY, C.CHALLENGE}
_ADMIN = {C.SUPPRESSED, C.ADMIN_CANCELLED}
_REASONS = {
    C.INVALID_RECIPIENT: Reason.INVALID_ADDRESS,
    C.INVALID_DOMAIN: Reason.INVALID_ADDRESS,
    C.INACTIVE_MAILBOX: Reason.INVALID_ADDRESS,
    C.MESSAGE_TOO_LARGE: Reason.MESSAGE_TOO_LARGE,
    C.AUTH_FAILED: Reason.AUTHENTICATION_ERROR,
    C.EXPIRED: Reason.EXPIRED,
}


def classify_reply(reply: Reply) -> Bounce:
    """Type and class of one refusal. Always answers; what no rule knows is undetermined/unknown."""
    rule = _decide(normalise(reply))
    return to_bounce(reply, rule.bounce_class if rule else C.UNKNOWN, rule.id if rule else "none")


def classify(attempt: Attempt) -> Bounce:
    """Type and class of one refused attempt, whoever refused: the server, or we."""
    reply = Reply(
        attempt.text,
        attempt.code,
        attempt.enhanced_code,
        attempt.command,
        attempt.host,
        attempt.outcome is Outcome.TEMPORARY,
    )
    ours = _ours(attempt)
    bounce = to_bounce(reply, *ours) if ours else classify_reply(reply)
    return replace(bounce, bounce_type=T.ADMIN) if attempt.reason is Reason.UNROUTABLE else bounce


def to_bounce(reply: Reply, bounce_class: C, rule: str) -> Bounce:
    """The answer with its evidence."""
    return Bounce(
        bounce_type=_type_of(bounce_class, reply.temporary),
        bounce_class=bounce_class,
        rule=rule,
        rules_version=RULES.version,
        code=reply.code,
        enhanced_code=reply.enhanced_code,
        text=reply.text[:MAX_TEXT],
        command=reply.command,
        host=reply.host,
    )


def reason_of(bounce: Bounce) -> Reason:
    """The support person's word for a bounce."""
    return _REASONS.get(bounce.bounce_class, Reason.PROVIDER_REJECTED)


@lru_cache(maxsize=1024)  # a server that refuses says the same again and again
def _decide(clues: Clues) -> Rule | None:
    return next((rule for rule in RULES.rules if rule.holds(clues)), None)


def _ours(attempt: Attempt) -> tuple[C, str] | None:
    """What we decided ourselves, without an answer of a server."""
    if attempt.reason is Reason.EXPIRED:
        return C.EXPIRED, "ours.expired"
    if attempt.reason is Reason.INVALID_ADDRESS:
        return C.INVALID_DOMAIN, "ours.no-such-domain"
    if attempt.code:
        return None
    if attempt.outcome is Outcome.PERMANENT and attempt.command == "EHLO":
        return C.PROTOCOL_ERROR, "ours.no-smtputf8"
    unanswered = {"lookup": C.DNS_FAILURE, "STARTTLS": C.TLS_FAILURE}
    return unanswered.get(attempt.command, C.CONNECTION_FAILED), f"ours.{attempt.command.lower() or 'connect'}"


def _type_of(bounce_class: C, temporary: bool) -> T:
    """Hard is the recipient's fault, block is ours, both for good. All the rest may work later: what is wrong with a connection, a route, a
    server or a full mailbox says nothing against the address."""
    if bounce_class in _UNDETERMINED:
        return T.UNDETERMINED
    if bounce_class in _ADMIN:
        return T.ADMIN
    if temporary:
        return T.SOFT
    if bounce_class in _HARD:
        return T.HARD
    return T.BLOCK if bounce_class in _BLOCK else T.SOFT
