"""A reply as the rules see it: bounded, on one line, without what only looks like words (addresses, paths of links, names of hosts)."""

import re
from dataclasses import dataclass

from mail.bounces.reply import Reply

MAX_SAID = 4000  # characters that rules look at

_ADDRESS = re.compile(r"(?<![^\s<>()\[\]:;,\"'])[^\s<>()\[\]:;,\"']{1,320}@[^\s<>()\[\];,\"']{1,320}")
_PATH = re.compile(r"(https?://[^\s/]{1,255})/\S*", re.IGNORECASE)
_SAYS = re.compile(  # whom a mail server asked, and what: its own words around the reply
    r"\bhost \S{1,255} ?\[[0-9a-f.:]{3,45}\](?: said)?|while talking to \S{1,255}|"
    r"(?:\bafter|reply to|response to|like our)(?: the| pipelined| final| sending){0,2} "
    r"(?:rcpt to|mail from|ehlo|helo|data|end of data|starttls|initial connection)(?: ?:? ?\S{0,255}|)(?: command)?|"
    r">>> ?(?:rcpt to|mail from|ehlo|helo|data|quit|starttls):? ?[^ ]{0,255}",
    re.IGNORECASE,
)
_CONTINUED = re.compile(
    r"(?:(?<= )|^)[245]\d\d-(?:#?[245]\.\d{1,3}\.\d{1,3} )?|(?<=[a-z,.;:] )[245]\d\d #?[245]\.\d{1,3}\.\d{1,3} ",
    re.IGNORECASE,
)
_ENHANCED = re.compile(r"(?<![\d.])[245]\.(\d{1,3}\.\d{1,3})(?!\d|\.\d)")
_SPACE = re.compile(r"[\s\x00]+")


@dataclass(frozen=True)
class Clues:
    """What a rule looks at."""

    text: str
    enhanced: str  # subject and detail of the enhanced code, such as "1.1"; "none" where there is none
    code: str  # "" is none
    command: str
    host: str
    when: str  # "temporary" or "permanent"


def normalise(reply: Reply) -> Clues:
    """The clues of a reply. Where its enhanced code says nothing, the one inside of the text counts."""
    said = reply.text[:MAX_SAID]
    found = _ENHANCED.search(reply.enhanced_code)
    subject = found[1] if found else ""
    if subject in ("", "0.0"):
        inside = _ENHANCED.search(said)
        subject = inside[1] if inside else subject
    words = _SPACE.sub(" ", said)
    for pattern, instead in ((_ADDRESS, "@"), (_PATH, r"\1"), (_SAYS, " "), (_CONTINUED, "")):
        words = pattern.sub(instead, words)
    return Clues(
        text=_SPACE.sub(" ", words).strip(),
        enhanced=subject or "none",
        code=str(reply.code) if reply.code else "",
        command=reply.command,
        host=reply.host,
        when="temporary" if reply.temporary else "permanent",
    )
