"""What a stranger may send to the pure readers: one function for each kind, which raises only for a finding."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

from console.answer_errors import Problem
from console.build_query import terms_where
from console.parse_filters import parse_filters
from console.search_mails import Cursor
from contracts import codec, raw_message
from contracts.errors import InvalidEvent
from contracts.events import Attempt, MailEvent, Outcome
from mail.addresses import matches, normalise, split_address
from mail.authentication import ReceivedMail, authenticate
from mail.authentication.arc_sets import ArcBroken, collect_sets
from mail.authentication.dmarc_record import parse_dmarc
from mail.authentication.parse_key import parse_key
from mail.authentication.strip_auth_results import strip_auth_results
from mail.bounce_address import BounceAddresses
from mail.bounces.classify import classify
from mail.bounces.classify_finding import classify_finding
from mail.decode_text import decode_charset, decode_words
from mail.parse_addresses import count_mailboxes, parse_addresses, to_ascii_domain
from mail.parse_headers import split_message
from mail.read_body import read_body
from mail.read_parameters import read_parameters
from mail.reports.is_report import is_report
from mail.reports.read_report import read_report
from processors.summarise import first_text
from tests.fakes.zone import Zone

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ADDRESSES = BounceAddresses(b"k" * 32)


def headers(octets: bytes) -> None:
    """Header fields, and all that is made of them."""
    message = split_message(octets)
    for field in message.fields:
        decode_words(field.text()).encode()
    first_text(message, b"subject", 998).encode()
    is_report(message)
    with contextlib.suppress(ArcBroken):
        collect_sets(message)
    strip_auth_results(octets, "mx.ours.test")


def body(octets: bytes) -> None:
    """Text, HTML and attachments."""
    found = read_body(octets)
    (found.text + found.html).encode()


def text(octets: bytes) -> None:
    """Words, parameters and charsets."""
    charset, _, rest = octets.partition(b"\n")
    decode_charset(rest, charset.decode("latin-1"), 10_000)[0].encode()
    words = octets.decode("utf-8", "surrogateescape")
    decode_words(words)
    read_parameters(words)


def addresses(octets: bytes) -> None:
    """Address lists, single addresses, patterns, and bounce addresses that a stranger makes up."""
    words = octets.decode("utf-8", "surrogateescape")
    parse_addresses(words)
    count_mailboxes(words)
    split_address(words)
    normalise(words)
    to_ascii_domain(words)
    ADDRESSES.read_srs(words, NOW)
    ADDRESSES.read_verp(words, NOW)
    pattern, _, subject = words.partition("\n")
    matches(pattern, subject)


def records(octets: bytes) -> None:
    """DNS records, CloudEvents and header values of Kafka."""
    parse_dmarc(octets.decode("utf-8", "replace"))
    parse_key(octets)
    name, _, value = octets.partition(b"=")
    for read in (
        lambda: codec.decode(octets, MailEvent),
        lambda: raw_message.decode_headers([(name.decode("latin-1"), value)]),
    ):
        with contextlib.suppress(InvalidEvent):
            read()


def queries(octets: bytes) -> None:
    """The query line of the console, and its cursors."""
    words = octets.decode("utf-8", "replace")
    with contextlib.suppress(Problem):
        Cursor.decode(words)
    with contextlib.suppress(Problem):
        terms_where(parse_filters([("q", words)], NOW).terms, frozenset())


def reports(octets: bytes) -> None:
    """What comes back about a mail, and what it means."""
    report = read_report(octets)
    (report.text + report.returned.subject).encode()
    for finding in report.findings:
        finding.recipient.encode()
        classify_finding(report.kind, finding)


def replies(octets: bytes) -> None:
    """What a remote server says."""
    words = octets.decode("utf-8", "replace")
    classify(Attempt(number=1, target="a@x.test", outcome=Outcome.PERMANENT, started_at=NOW, code=550, text=words))


ZONE = Zone({"x.test": {"TXT": ["v=spf1 -all"]}, "_dmarc.x.test": {"TXT": ["v=DMARC1; p=reject"]}})


def authentication(octets: bytes) -> None:
    """All checks of one mail; an error inside of one is a finding as well."""
    result = asyncio.run(authenticate(ReceivedMail(octets, "192.0.2.1", "h.x.test", "a@x.test", "mx.ours.test"), ZONE))
    assert "internal_error" not in repr(result), result


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (headers, body, text, addresses, records, queries, reports, replies, authentication)
}
