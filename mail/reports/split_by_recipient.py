"""Which recipients a report in words is about, and which of its words are about whom. Linear, bounded, never raises."""

import logging
import re
from email.message import Message as EmailMessage

from flufl.bounce import all_failures

from mail.reports.report import MAX_RECIPIENTS, MAX_SAID

MAX_LINES = 5000
MAX_LINE = 1000  # characters of a line that are read
MAX_GUESSED = 32 * 1024  # characters that flufl.bounce reads

_ADDRESS = r"[^\s<>()\[\]:;,\"'|=@]{1,128}@[A-Za-z0-9][A-Za-z0-9.-]{0,250}[A-Za-z0-9]"
_ANY = re.compile(rf"(?<![^\s<>()\[\]:;,\"'|=@]){_ADDRESS}")  # looked for at the start of a word only
_LISTED = (  # lines that say: this one is a recipient
    re.compile(rf"^[\s>*•-]{{0,12}}[<(]?({_ADDRESS})[>)]?[:.,]?\s{{0,20}}$"),
    re.compile(rf"^\s{{0,8}}[<(\"]({_ADDRESS})[>)\"]\s{{0,4}}(?::|\.\.\.|,|-|\s)"),
    re.compile(rf"^\s{{0,8}}({_ADDRESS})\s{{0,4}}(?::|\.\.\.| - |\s\(|,? on (?:mon|tue|wed|thu|fri|sat|sun),|\s(?:invalid|"
    rf"error|user|unknown|mailbox|recipient)\b)", re.IGNORECASE),
    re.compile(rf"\brcpt to:\s{{0,4}}<?({_ADDRESS})", re.IGNORECASE),
    re.compile(rf"^[45]\d\d[ -](?:[45]\.\d{{1,3}}\.\d{{1,3}} )?<({_ADDRESS})>"),
)  # fmt: skip
_LABELLED = re.compile(  # which some put before the recipients of the returned mail as well: asked where no line is a list
    rf"^\W{{0,8}}(?:to|recipients?|recipient address|final[- ]recipient|original[- ]recipient|(?:failed|intended|"
    rf"failing) (?:recipients?|address)|"
    rf"undeliverable address|unknown user|no such user|user unknown|undeliverable to|undelivered to|mailbox|(?:e-?mail )?address|"
    rf"invalid final delivery userid|delivery failed \d{{1,4}} attempts)"
    rf"(?:\(s\))?\s{{0,8}}[:=\s]\s{{0,8}}(?:rfc822;\s{{0,4}})?[\"'<]{{0,2}}(?:smtp:)?({_ADDRESS})",
    re.IGNORECASE,
)
_DAEMON = re.compile(r"(?:mailer-daemon|postmaster|mail-?daemon|abuse|helpdesk|support|admin)@", re.IGNORECASE)

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it tells each pattern that it tries


def find_recipients(words: str, named: list[str], not_these: set[str]) -> list[str]:
    """Who did not get the mail: `named` in headers first, then as the lines say, then as flufl.bounce knows forms, then any address.
    The report's own sender and recipient are `not_these`, in lower case."""
    lines = [line for line in _lines(words) if "@" in line]
    lower = words.lower()
    listed = [match[1] for line in lines for pattern in _LISTED if (match := pattern.search(line)) is not None]
    recipients = _each_once([*(one for one in named if one.lower() in lower), *listed], not_these)
    if not recipients:
        labelled = [match[1] for line in lines if (match := _LABELLED.search(line)) is not None]
        recipients = _each_once(labelled, not_these) or _each_once(named, not_these)
    if not recipients:
        recipients = _each_once(_guess(words), not_these)
    if not recipients:
        mentioned = [address for line in lines for address in _ANY.findall(line)]
        recipients = [one for one in _each_once(mentioned, not_these) if _DAEMON.match(one) is None][:1]
    return recipients[:MAX_RECIPIENTS]


def split_by_recipient(words: str, recipients: list[str]) -> dict[str, str]:
    """The words about each recipient: from a line that names it to one that names another."""
    known = {one.lower(): one for one in recipients}
    said: dict[str, list[str]] = {one: [] for one in recipients}
    length = dict.fromkeys(recipients, 0)
    owner = ""
    for line in _lines(words):
        owner = next((known[one.lower()] for one in _ANY.findall(line) if one.lower() in known), owner)
        if owner and length[owner] < MAX_SAID:
            said[owner].append(line)
            length[owner] += len(line) + 1
    return {one: "\n".join(lines).strip()[:MAX_SAID] for one, lines in said.items()}


def _lines(words: str) -> list[str]:
    return [line[:MAX_LINE] for line in words.split("\n", MAX_LINES)[:MAX_LINES]]


def _each_once(addresses: list[str], not_these: set[str]) -> list[str]:
    kept: dict[str, str] = {}
    for one in addresses:
        lower = one.lower()
        if lower not in not_these:
            kept.setdefault(lower, one)
    return list(kept.values())


def _guess(words: str) -> list[str]:
    """Addresses in the forms that flufl.bounce knows. It gets a flat message, so that no nesting of a stranger's reaches it."""
    message = EmailMessage()
    message["Content-Type"] = "text/plain"
    message.set_payload("\n".join(_lines(words[:MAX_GUESSED])).encode("ascii", "replace").decode("ascii"))
    try:
        temporary, permanent = all_failures(message)
    except Exception:  # a detector that trips over a stranger's text has found nothing
        return []
    guessed = sorted(one.decode("ascii", "replace") for one in {*temporary, *permanent})
    return [one for one in guessed if _ANY.fullmatch(one)]
