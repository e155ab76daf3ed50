"""What an application asks to be sent, and how much of it: bounds that hold whichever door it comes by, each with the field that is wrong.

They are there because each of these costs time beyond its octets: every recipient is a command and several events, every header is folded,
every attachment is a part.
"""

from dataclasses import dataclass, field

from contracts.metadata import Metadata, metadata_of

MAX_RECIPIENTS = 1000  # of to, cc and bcc together
MAX_ADDRESS = 500  # characters of one address with its display name
MAX_SUBJECT = 2000  # characters; the log keeps 998
MAX_HEADERS = 100  # further headers
MAX_HEADER_NAME = 100  # characters
MAX_HEADER = 8000  # characters of one value
MAX_HEADERS_TOTAL = 64_000  # characters of all their names and values
MAX_LINES = 200_000  # of text and of html: each is an object of some 60 octets while a part is made
MAX_ATTACHMENTS = 100
MAX_FILE_NAME = 255  # characters
MAX_FILE_NAMES_TOTAL = 10_000  # octets of all names and types: writing them as RFC 2231 asks takes 50 ms for 1,000

_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # what Python takes for one (str.splitlines)


class InvalidMail(Exception):
    """The request cannot become a mail: which field, and what is wrong with it."""

    def __init__(self, field: str, message: str, code: str = "invalid_mail") -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Attached:
    """A file of a mail."""

    name: str
    type: str
    content: bytes


@dataclass(frozen=True)
class Outgoing:
    """What an application asks to be sent: fields, or `raw`, a whole message with `from_address` and `to` as its envelope
    (an empty `from_address` is the null sender then)."""

    from_address: str  # with or without a display name
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: str = ""
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    attachments: tuple[Attached, ...] = ()
    raw: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)


def check_bounds(mail: Outgoing) -> None:
    """InvalidMail names the first field that is out of bounds."""
    recipients = len(mail.to) + len(mail.cc) + len(mail.bcc)
    if recipients > MAX_RECIPIENTS:
        longest = max(("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc), key=lambda named: len(named[1]))[0]
        raise InvalidMail(longest, f"{recipients} recipients are more than {MAX_RECIPIENTS}")
    for name, texts in (
        ("from", [mail.from_address]), ("reply_to", [mail.reply_to]), ("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc),
    ):  # fmt: skip
        for text in texts:
            _at_most(name, len(text), MAX_ADDRESS, "an address has")
    _at_most("subject", len(mail.subject), MAX_SUBJECT, "it has")
    _at_most("headers", len(mail.headers), MAX_HEADERS, "there are", "headers")
    for name, value in mail.headers.items():
        _at_most("headers", len(name), MAX_HEADER_NAME, "a header's name has")
        _at_most(f"headers.{name}", len(value), MAX_HEADER, "it has")
    _at_most(
        "headers", sum(len(name) + len(text) for name, text in mail.headers.items()), MAX_HEADERS_TOTAL, "all have"
    )
    _at_most("attachments", len(mail.attachments), MAX_ATTACHMENTS, "there are", "attachments")
    for number, attached in enumerate(mail.attachments):
        _at_most(f"attachments[{number}].name", len(attached.name), MAX_FILE_NAME, "it has")
        _at_most(f"attachments[{number}].type", len(attached.type), MAX_FILE_NAME, "it has")
    names = sum(len(one.name.encode("utf-8", "replace")) + len(one.type) for one in mail.attachments)
    _at_most("attachments", names, MAX_FILE_NAMES_TOTAL, "their names and types have", "octets")
    for name, content in (("text", mail.text), ("html", mail.html)):
        _at_most(name, sum(map((content or "").count, _LINE_ENDS)), MAX_LINES, "it has", "lines")
    contents: dict[str, str | None] = {"subject": mail.subject, "text": mail.text, "html": mail.html}
    for name, content in (contents | metadata_of(mail.metadata)).items():
        if content is not None and "\0" in content:
            raise InvalidMail(name, "it has a NUL, which no mail may have (RFC 5322 section 4)")


def _at_most(field: str, size: int, most: int, what: str, unit: str = "characters") -> None:
    if size > most:
        raise InvalidMail(field, f"{what} {size} {unit}: {most} is the most")
