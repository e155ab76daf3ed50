"""What a refusal means: bounce type and class, from the code, the enhanced code and the text (RFC 3463, RFC 5248).

Rules are tried in order, the first one that matches decides; its id and the version of the set stand beside the answer. Texts
come before codes: half of the servers in the wild send a code that says less than their words, and 5.7.1 is a reputation block
at one and a policy at another.
"""

import re
from dataclasses import dataclass

from contracts.events import Attempt, Bounce, Outcome
from contracts.statuses import BounceClass as C
from contracts.statuses import BounceType as T
from contracts.statuses import Reason

RULES_VERSION = "2026.11.2"


@dataclass(frozen=True)
class Rule:
    """One rule: conditions that are empty hold always."""

    id: str
    bounce_class: C
    text: str = ""  # regular expression, case does not matter
    enhanced: str = ""  # regular expression on the subject and detail of the enhanced code, such as "1.1"
    code: str = ""  # regular expression on the reply code
    command: str = ""  # the SMTP command that was answered


RULES = [
    Rule("text.greylist", C.GREYLISTED, text=r"gr[ae]y-?list|try again in \d+ (second|minute)|postgrey"),
    Rule("text.virus", C.VIRUS, text=r"\bvirus|malware|infected"),
    Rule(
        "text.full",
        C.MAILBOX_FULL,
        text=(
            r"(mailbox|quota|inbox|storage).{0,40}(full|exceed|over)|over ?quota|"
            r"insufficient (disk|system) (space|storage)|out of storage|not enough (disk|storage)? ?space"
        ),
    ),
    # How a mail is written: before the words of authentication and of spam, which advice about it is full of.
    Rule("text.format", C.CONTENT_REJECTED, text=r"not rfc ?\d* ?compliant|multiple (subject|from|sender|to) headers?"),
    Rule(
        "text.spam-found",
        C.SPAM_CONTENT,
        text=r"spam (classification|score)|(classified|detected|marked|identified) as spam",
    ),
    Rule(
        "text.auth",
        C.AUTH_FAILED,
        text=(
            r"\b(spf|dkim|dmarc)\b|unauthenticated|not authenticated|"
            r"authentication (checks?|requirements?|information|level|policy)"
        ),
    ),
    Rule(
        "text.reverse-name",
        C.AUTH_FAILED,
        text=(
            r"\bptr\b|reverse (dns|host|name)|rdns|(cannot|could not|unable to) (find|resolve) your|"
            r"mismatch(es)? client ip|client host rejected: cannot"
        ),
    ),
    Rule(
        "text.reputation",
        C.REPUTATION_BLOCKED,
        text=(
            r"blocklist|blacklist|block ?list|black ?list|deny ?list|spamhaus|spamcop|barracuda|sorbs|proofpoint|"
            r"\brbl\b|dnsbl|reputation|poor sender|listed (at|in|by|on)|banned sending ip|"
            r"(ip|host|client|network)( address)?( \S+)? (is |was |has been |temporarily )*(blocked|banned|refused)"
        ),
    ),
    Rule(
        "text.rate",
        C.RATE_LIMITED,
        text=(
            r"rate ?limit|too many (messages|connections|recipients|mails|emails|sessions|errors)|throttl|too fast|too quickly|"
            r"exceeded the (rate|maximum number)|(receiving|sending) mail.{0,30}(rate|too)|unusual rate|frequency limit|"
            r"\btss0\d|unexpected volume|concurrent"
        ),
    ),
    Rule("text.spam", C.SPAM_CONTENT, text=r"\bspam\b|spammy|unsolicited|junk mail|\bube\b"),
    Rule("text.helo", C.POLICY_REJECTED, text=r"\b(helo|ehlo)\b"),
    Rule(
        "text.sender",
        C.SENDER_REJECTED,
        text=(
            r"sender.{0,30}(reject|denied|blocked|refused|invalid|not allowed|unverified|unknown)|bad sender|sender verif|"
            r"domain of sender|sender (domain|address|verif).{0,60}(not (exist|found|resolve)|fail)|sender is not"
        ),
    ),
    Rule(
        "text.expired", C.EXPIRED, text=r"(message|mail|delivery time) expired|retry time.{0,20}exceeded|retry timeout"
    ),
    Rule(
        "text.domain",
        C.INVALID_DOMAIN,
        text=(
            r"no such (domain|host)|nxdomain|(domain|host)( name)?( \S+)? (was |is |does |could )?not (be )?(found|exist)|"
            r"unknown (domain|host)|domain.{0,40}(no mx|not reachable|does not exist|doesn'?t exist)|"
            r"does(n't| not) accept (any )?(e-?)?mail|null ?mx|unrouteable (mail )?(domain|address)"
        ),
    ),
    Rule(
        "text.dns",
        C.DNS_FAILURE,
        text=r"name service error|dns (error|lookup|failure)|lookup.{0,40}(fail|time)|servfail",
    ),
    Rule(
        "text.connection",
        C.CONNECTION_FAILED,
        text=(
            r"connection (was )?(refused|reset|lost|dropped|timed)|(connect|session|operation).{0,20}timed out|timed out\b|"
            r"did not accept our requests to connect|no route to host|network is unreachable"
        ),
    ),
    Rule(
        "text.inactive",
        C.INACTIVE_MAILBOX,
        text=(
            r"(account|mailbox|user|recipient|address).{0,40}(disabled|inactive|suspended|deactivated|locked|expired|frozen)|"
            r"(disabled|inactive|suspended|deactivated|locked|expired|frozen) (account|mailbox|user|recipient|address)|"
            r"no longer (active|in use|available|valid|employed|works)"
        ),
    ),
    Rule(
        "text.user",
        C.INVALID_RECIPIENT,
        text=(
            r"(user|recipient|mailbox|account|address|alias).{0,60}(unknown|not exist|doesn'?t exist|not found|"
            r"no such|invalid|rejected: (user|undeliverable|unverified|access denied)|unavailable|not listed)|"
            r"(unknown|no such|invalid|nonexistent|bad destination|undeliverable) (local )?(user|recipient|mailbox|address|"
            r"account|person|alias)|no mailbox (here|by that name)|"
            r"does not exist|doesn'?t have an? .{1,60} account|not our customer"
        ),
    ),
    Rule(
        "text.relay",
        C.RELAY_DENIED,
        text=r"relay(ing)? (access )?(denied|not (permitted|allowed))|not permitted to relay|unable to relay",
    ),
    Rule("text.attachment", C.ATTACHMENT_REJECTED, text=r"attachment|file ?type|executable"),
    Rule("text.size", C.MESSAGE_TOO_LARGE, text=r"(message|mail|size).{0,30}(too (large|big)|exceeds|limit)|too large"),
    Rule("text.loop", C.ROUTING_ERROR, text=r"mail loop|loops? back|too many hops|routing loop|hop count"),
    Rule("text.content", C.CONTENT_REJECTED, text=r"content.{0,20}(reject|denied|blocked|not accept)|bad content"),
    Rule("text.tls", C.TLS_FAILURE, text=r"\btls\b|starttls"),
    Rule("text.later", C.GREYLISTED, text=r"(try|come back|retry) (again )?later", code=r"45\d"),
    Rule("enhanced.recipient", C.INVALID_RECIPIENT, enhanced=r"1\.[013456]"),
    Rule("enhanced.domain", C.INVALID_DOMAIN, enhanced=r"1\.(2|10)"),
    Rule("enhanced.sender", C.SENDER_REJECTED, enhanced=r"1\.[789]"),
    Rule("enhanced.inactive", C.INACTIVE_MAILBOX, enhanced=r"2\.1"),
    Rule("enhanced.full", C.MAILBOX_FULL, enhanced=r"2\.2|3\.1"),
    Rule("enhanced.size", C.MESSAGE_TOO_LARGE, enhanced=r"2\.3|3\.4"),
    Rule("enhanced.dns", C.DNS_FAILURE, enhanced=r"4\.[34]"),
    Rule("enhanced.loop", C.ROUTING_ERROR, enhanced=r"4\.6"),
    Rule("enhanced.expired", C.EXPIRED, enhanced=r"4\.7"),
    Rule("enhanced.rate", C.RATE_LIMITED, enhanced=r"4\.5|5\.3"),
    Rule("enhanced.connection", C.CONNECTION_FAILED, enhanced=r"4\.[12]"),
    Rule("enhanced.tls", C.TLS_FAILURE, enhanced=r"7\.(10|11|29)"),
    Rule("enhanced.auth", C.AUTH_FAILED, enhanced=r"7\.(20|21|22|23|24|25|26|27|30|31|32|40|509|515)"),
    Rule("enhanced.content", C.CONTENT_REJECTED, enhanced=r"6\.\d+|7\.(7|17|18|19)"),
    Rule("enhanced.policy", C.POLICY_REJECTED, enhanced=r"7\.\d+"),
    Rule("enhanced.protocol", C.PROTOCOL_ERROR, enhanced=r"5\.\d+"),
    Rule(
        "text.refused",
        C.POLICY_REJECTED,
        text=r"\b(rejected|refused|denied|blocked|polic(y|ies)|prohibited|not allowed)\b",
        code=r"5\d\d",
    ),
    Rule("code.temporary-refusal", C.RATE_LIMITED, code=r"421"),
    Rule("code.mailbox-busy", C.GREYLISTED, code=r"450|451"),
    Rule("code.storage", C.MAILBOX_FULL, code=r"452|552"),
    # It is the mailbox that is not there only where the mailbox was the question.
    Rule("code.no-mailbox", C.INVALID_RECIPIENT, code=r"550|551|553", command="RCPT"),
    Rule("code.refused", C.POLICY_REJECTED, code=r"550|551|553"),
    Rule("code.syntax", C.PROTOCOL_ERROR, code=r"50\d|555"),
    Rule("code.policy", C.POLICY_REJECTED, code=r"554|571"),
]
_COMPILED = [
    (
        rule,
        re.compile(rule.text, re.IGNORECASE | re.DOTALL) if rule.text else None,
        re.compile(rule.enhanced) if rule.enhanced else None,
        re.compile(rule.code) if rule.code else None,
    )
    for rule in RULES
]
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
        rules_version=RULES_VERSION,
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
        nobody = {"lookup": C.DNS_FAILURE, "STARTTLS": C.TLS_FAILURE}
        return nobody.get(attempt.command, C.CONNECTION_FAILED), f"ours.{attempt.command.lower() or 'connect'}"
    found = _ENHANCED.search(attempt.enhanced_code)
    subject = found[1] if found else ""
    if subject in ("", "0.0"):
        inside = _ENHANCED.search(attempt.text)
        subject = inside[1] if inside else subject
    code = str(attempt.code)
    words = _ADDRESS.sub(" ", attempt.text[:4000])  # spam@example.org is nobody's opinion
    for rule, text, enhanced, codes in _COMPILED:
        if text is not None and not text.search(words):
            continue
        if enhanced is not None and not enhanced.fullmatch(subject):
            continue
        if codes is not None and not codes.fullmatch(code):
            continue
        if rule.command and rule.command != attempt.command:
            continue
        return rule.bounce_class, rule.id
    return C.UNKNOWN, "none"


def _type_of(bounce_class: C, attempt: Attempt) -> T:
    if attempt.reason is Reason.PRIVATE_ADDRESS:
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
