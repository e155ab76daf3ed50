"""The SMTP reply that a text for people quotes: code, enhanced code, host and command. Linear in the text, bounded, never raises."""

import re

from mail.bounces.reply import Reply
from mail.reports.report import MAX_SAID

_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d]|\.\d)")
_CODES = (  # the first one that is found; a code beside an enhanced code or in the place of a reply says more than a number
    re.compile(r"(?<![\d.])([45][0-5]\d)[ :,-]{1,3}(?:ERROR_CODE :)?[#(]{0,2}[245]\.\d{1,3}\.\d{1,3}(?!\d|\.\d)"),
    re.compile(
        r"(?:^|said:|<<<|\]:|returned was:|responded:|error:|response:|code ?:?|[;>])\s{0,20}([45][0-7]\d)(?=[ \-:,;)\n]|$)",
        re.IGNORECASE | re.MULTILINE,
    ),
    re.compile(r"(?:\s|\(|^)([45][0-5]\d)[ -](?=[^\d\s])"),
)  # fmt: skip
_COMMANDS = (  # (pattern, which group names the command), in the words of Postfix, Exim, sendmail and qmail
    re.compile(r"in (?:reply|response) to (?:the )?(end of data|[a-z]{4,8})\b", re.IGNORECASE),
    re.compile(r"(?:after|response to|reply to) (?:sending |pipelined )?(end of data|initial connection|mail|rcpt|data|ehlo|"
    r"helo|starttls)\b", re.IGNORECASE),
    re.compile(r"(?:did not like our (?:final )?(mail|rcpt|data|ehlo|helo|starttls)\b|for (?:the )?(mail|rcpt|data) (?:to |"
    r"from )?command)", re.IGNORECASE),
    re.compile(r"(?:smtp command\s{1,4}|\[)(rcpt|mail|data)(?=[ _\]\n]|$)", re.IGNORECASE),
    re.compile(r"(end-of-data|connected to \S{1,255} but greeting failed|but my name was rejected|but sender was rejected|"
    r"does not like recipient|failed on data command|failed after i sent the message)", re.IGNORECASE),
)  # fmt: skip
_SENT = re.compile(r"^>>> ?(mail|rcpt|data|ehlo|helo|starttls|\.)", re.IGNORECASE | re.MULTILINE)
_REFUSED = re.compile(r"^<<< ?[45]\d\d", re.MULTILINE)
_QUOTED = re.compile(  # words that announce what the other server said
    r"(?:the other server returned was|response (?:from the remote server )?was|respond\w* (?:was|with|as follows)|"
    r"the following error message|"
    r"error message below|remote (?:host|server) said|server message|the server said)\s{0,4}:?\s{0,4}\[?",
    re.IGNORECASE,
)
_NAMES = {
    "end of data": "end-of-data",
    ".": "end-of-data",
    "initial connection": "connect",
    "helo": "EHLO",
    "lhlo": "EHLO",
    "but my name was rejected": "EHLO",
    "but sender was rejected": "MAIL",
    "does not like recipient": "RCPT",
    "failed on data command": "DATA",
    "failed after i sent the message": "end-of-data",
    "end-of-data": "end-of-data",
}
_COMMAND_WORDS = frozenset({"EHLO", "STARTTLS", "MAIL", "RCPT", "DATA"})
_HOSTS = (
    re.compile(r"\bhost ([A-Za-z0-9.-]{3,255}) ?\[[0-9A-Fa-f.:]{3,45}\]"),
    re.compile(r"while talking to ([A-Za-z0-9.-]{3,255})", re.IGNORECASE),
    re.compile(r"\bby ([A-Za-z0-9.-]{3,255})[. ]{1,2}\[[0-9A-Fa-f.:]{3,45}\]"),
    re.compile(r"\bfrom ([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,10})[ :]{1,2}[45]\d\d"),
)


def read_reply(
    text: str,
    *,
    status: str = "",
    host: str = "",
    command: str = "",
    around: str = "",
    temporary: bool | None = None,
) -> Reply:
    """The reply that `text` quotes. `status` counts where the text has no code of its own; command and host may stand `around` it.
    Whether it is temporary follows, where that is not told, from the enhanced code, then the code of the text, then `status`."""
    text, around = text[:MAX_SAID].strip(), around[:MAX_SAID]
    code = find_code(text)
    enhanced = find_enhanced_code(text)
    status = status if _ENHANCED.fullmatch(status) else ""
    if temporary is None:
        temporary = (enhanced or str(code or status)).startswith("4")
    if not enhanced or enhanced.endswith(".0.0"):
        enhanced = status if status and (not enhanced or not status.endswith(".0.0")) else enhanced
    return Reply(
        text=text,
        code=code,
        enhanced_code=enhanced,
        command=command or find_command(text) or find_command(around),
        host=(host or find_host(text) or find_host(around)).rstrip(".").lower(),
        temporary=temporary,
    )


def find_quote(text: str) -> str:
    """What the other server said, without the words that its reporter puts before it; "" where nothing is quoted with a code."""
    announced = _QUOTED.search(text)
    quoted = text[announced.end() :].strip() if announced else ""
    return quoted if find_code(quoted) or find_enhanced_code(quoted) else ""


def find_code(text: str) -> int:
    """The reply code of a refusal; 0 where there is none."""
    for pattern in _CODES:
        found = pattern.search(text)
        if found is not None:
            return int(found[1])
    return 0


def find_enhanced_code(text: str) -> str:
    """The first enhanced status code (RFC 3463) that says something; else x.0.0; "" where there is none."""
    found: list[str] = _ENHANCED.findall(text[:MAX_SAID])
    refusals = [one for one in found if one[0] in "45"]
    return next((one for one in refusals if not one.endswith(".0.0")), refusals[0] if refusals else "")


def find_command(text: str) -> str:
    """The SMTP command that was answered, in our words; "" where the text does not say."""
    refused = _REFUSED.search(text)
    if refused is not None:
        sent = _SENT.findall(text[: refused.start()])
        if sent:
            return _name(sent[-1])
    for pattern in _COMMANDS:
        found = pattern.search(text)
        name = _name(found[found.lastindex or 0]) if found else ""
        if name:
            return name
    return ""


def find_host(text: str) -> str:
    """The server that refused; "" where the text does not say."""
    return next((found[1] for pattern in _HOSTS if (found := pattern.search(text)) is not None), "")


def _name(words: str) -> str:
    lower = words.lower()
    if lower.endswith("greeting failed"):
        return "connect"
    return _NAMES.get(lower, words.upper() if words.upper() in _COMMAND_WORDS else "")
