"""What an application asks to be sent, as the message that leaves: complete, and with nothing smuggled in."""

import cProfile
import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.metadata import Metadata
from ingest.send.build_message import Built, build_message
from ingest.send.outgoing import Attached, InvalidMail, Outgoing
from mail.decode_text import decode_words
from mail.parse_headers import split_message


def build(**fields: Any) -> Built:
    base: dict[str, Any] = {
        "from_address": "Desk <desk@ours.test>",
        "to": ("a@x.test",),
        "subject": "Hi",
        "text": "Hello\n",
    }
    if "raw" in fields:
        base.pop("text")
    return build_message(Outgoing(**{**base, **fields}))


def read(built: Built) -> EmailMessage:
    message = email.message_from_bytes(built.octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_fields_become_a_whole_message() -> None:
    built = build(
        cc=("b@x.test",),
        bcc=("c@x.test",),
        reply_to="help@ours.test",
        subject="Grüße 🎉",
        html="<p>Hello</p>",
        headers={"List-Unsubscribe": "<https://ours.test/u>"},
        attachments=(Attached("Küche.pdf", "application/pdf", b"%PDF"),),
    )
    message = read(built)
    assert (message["From"], message["To"], message["Cc"]) == ("Desk <desk@ours.test>", "a@x.test", "b@x.test")
    assert (message["Subject"], message["Reply-To"]) == ("Grüße 🎉", "help@ours.test")
    assert message["Date"] and message["Message-ID"].endswith("@ours.test>") and message["List-Unsubscribe"]
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert (
        plain is not None
        and plain.get_content().rstrip() == "Hello"
        and html is not None
        and "<p>" in html.get_content()
    )
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("Küche.pdf", b"%PDF")
    assert built.octets.count(b"\n") == built.octets.count(b"\r\n") and built.octets.isascii()


def test_blind_copies_are_recipients_and_nowhere_named() -> None:
    built = build(bcc=("secret@x.test", "a@x.test"))
    assert built.recipients == ("a@x.test", "secret@x.test")
    assert b"secret" not in built.octets
    raw = b"From: desk@ours.test\r\nBcc: secret@x.test,\r\n more@x.test\r\nSubject: x\r\n\r\nbcc: body stays\r\n"
    built = build(raw=raw)
    assert b"secret" not in built.octets and b"more@" not in built.octets and b"bcc: body stays" in built.octets


def test_our_headers_are_read_and_taken_out() -> None:
    raw = (
        b"From: desk@ours.test\r\nX-Mailscope-Reference: IT-9\r\nx-mailscope-TAG : a\r\n b\r\nX-Mailscope-Other: y\r\n"
        b"Subject: x\r\n\r\nX-Mailscope-Stream: in the body\r\n"
    )
    built = build(raw=raw, metadata=Metadata(stream="invitation"))
    assert built.metadata == Metadata(reference="IT-9", tag="a b", stream="invitation")
    head, _, body = built.octets.partition(b"\r\n\r\n")
    assert b"mailscope" not in head.lower() and body == b"X-Mailscope-Stream: in the body\r\n"


def test_a_whole_message_keeps_its_octets_and_gets_what_is_missing() -> None:
    raw = b"From: desk@ours.test\nSubject: x\n\n.dot\n\xff\n"
    built = build(raw=raw)
    assert built.octets.endswith(b"From: desk@ours.test\r\nSubject: x\r\n\r\n.dot\r\n\xff\r\n")
    assert read(built)["Date"] and read(built)["Message-ID"]
    complete = b"Date: Tue, 03 Nov 2026 12:22:54 +0000\r\nMessage-ID: <1@x>\r\nFrom: desk@ours.test\r\n\r\nx\r\n"
    assert build(raw=complete).octets == complete


def test_a_domain_in_letters_of_its_own_is_written_as_every_server_reads_it() -> None:
    built = build(from_address="Jö <desk@bücher.test>", to=("Jürgen Müller <a@grün.test>",), reply_to="x@bücher.test")
    assert (built.envelope_from, built.recipients) == ("desk@xn--bcher-kva.test", ("a@xn--grn-ioa.test",))
    assert b"<desk@xn--bcher-kva.test>" in built.octets and b"<a@xn--grn-ioa.test>" in built.octets
    assert b"x@xn--bcher-kva.test" in built.octets and read(built)["From"] == "Jö <desk@xn--bcher-kva.test>"


def test_a_mailbox_name_in_letters_of_its_own_is_written_as_it_is() -> None:
    built = build(to=("jürgen@x.test",))
    assert "To: jürgen@x.test\r\n".encode() in built.octets


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"to": ()}, "to"),
        ({"to": ("a\r\n@x.test",)}, "to"),
        ({"to": (" ",)}, "to"),
        ({"to": ("a@x.test\r\nBcc: b@x.test",)}, "to"),
        ({"cc": ("a@x.test\n",)}, "cc"),
        ({"from_address": ""}, "from"),
        ({"from_address": "Desk\r\nBcc: b@x.test <desk@ours.test>"}, "from"),
        ({"from_address": "ceo@bank.test <desk@ours.test>"}, "from"),
        ({"subject": "x\r\nBcc: b@x.test"}, "subject"),
        ({"reply_to": "x@y.test\nBcc: b@x.test"}, "reply_to"),
        ({"headers": {"X-A": "1\r\nBcc: b@x.test"}}, "headers.X-A"),
        ({"headers": {"X-A: 1\r\nBcc": "b@x.test"}}, "headers"),
        ({"headers": {"bcc": "b@x.test"}}, "headers"),
        ({"headers": {"FROM": "ceo@bank.test"}}, "headers"),
        ({"headers": {"Received": "from nowhere"}}, "headers"),
        ({"headers": {"": "x"}}, "headers"),
        ({"text": None}, "text"),
        ({"raw": b""}, "raw"),
        ({"raw": b"Subject: x\r\n\r\nno author\r\n"}, "raw"),
        ({"raw": b"From: a@ours.test\r\nFrom: b@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From: a@ours.test\r\n\r\nx\ry\r\n"}, "raw"),
        ({"raw": b" Bcc: b@x.test\r\nFrom: a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From: a@ours.test\r\n" + b"X: y\r\n" * 2500 + b"Bcc: b@x.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From: a@ours.test\r\n\r\nx\x00\r\n"}, "raw"),
        ({"raw": b"From: a@ours.test\r\n\r\nx\r\n.\ny\r\n"}, "raw"),
        ({"subject": "x" * 2001}, "subject"),
        ({"subject": "a\0b"}, "subject"),
        ({"text": "a\0b"}, "text"),
        ({"text": "\n" * 200_001}, "text"),
        ({"text": "x", "html": "\r\u2028" * 100_001}, "html"),
        ({"html": "a\0b"}, "html"),
        ({"headers": {"X-A": "a\x01b"}}, "headers.X-A"),
        ({"attachments": (Attached("a\0b", "", b"x"),)}, "attachments[0].name"),
        ({"metadata": Metadata(reference="a\0b")}, "reference"),
        ({"headers": {"X-A": "x" * 8001}}, "headers.X-A"),
        ({"headers": {"X-A": "x" * 999}}, "headers.X-A"),
        ({"headers": {"References": "<ü@x>"}}, "headers.References"),
        ({"headers": {"Sender": "ü"}}, "headers.Sender"),
        ({"headers": {"X" * 101: "x"}}, "headers"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers"),
        ({"headers": {f"X-{number}": "x" for number in range(101)}}, "headers"),
        ({"headers": {f"X-{number}": "x" * 800 for number in range(90)}}, "headers"),
        ({"to": ("a@x.test",) * 600, "bcc": ("b@x.test",) * 401}, "to"),
        ({"to": ("a@x.test",), "cc": ("x" * 500 + "@x.test",)}, "cc"),
        ({"from_address": "x" * 500 + " <desk@ours.test>"}, "from"),
        ({"reply_to": "x" * 500 + " <desk@ours.test>"}, "reply_to"),
        ({"reply_to": "nobody"}, "reply_to"),
        ({"attachments": (Attached("a", "", b"x"),) * 101}, "attachments"),
        ({"attachments": (Attached("\U0001f600" * 250, "a" * 250, b"x"),) * 10}, "attachments"),
        ({"attachments": (Attached("a", "", b"x"), Attached("x" * 256, "", b"x"))}, "attachments[1].name"),
        ({"raw": b"From: a@ours.test\r\nX: " + b"y" * 1_100_000 + b"\r\nFrom: ceo@bank.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"\xef\xbb\xbfFrom: ceo@bank.test\r\nFrom: a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From\xc2\xa0: ceo@bank.test\r\nFrom: a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From\r\n : ceo@bank.test\r\nFrom: a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From : a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"no field\r\nFrom: a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From ceo@bank.test Mon\r\nFrom: a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"X: \x00\r\nFrom: a@ours.test\r\n\r\nx\r\n"}, "raw"),
        ({"raw": b"From: " + b"a@ours.test," * 1001 + b"ceo@bank.test\r\n\r\nx\r\n"}, "from"),
    ],
    ids=lambda value: str(value)[:80],
)
def test_what_cannot_be_sent_names_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidMail) as caught:
        build(**fields)
    assert caught.value.field == field and caught.value.message


def test_the_largest_header_that_is_taken_is_folded_and_read_as_it_was_given() -> None:
    long = "Grüße " * 300
    built = build(
        subject=long + "Ende",
        from_address=f'"{"ü" * 480}" <desk@ours.test>',
        to=tuple(f'"Müller, {number}" <a{number}@x.test>' for number in range(1000)),
        headers={"X-Words": "word " * 1500 + "end", "X-Other": "ü" * 8000, "Sender": "Jö <desk@ours.test>"},
    )
    message = read(built)
    assert (message["Subject"], message["X-Words"], message["X-Other"]) == (
        long + "Ende",
        "word " * 1500 + "end",
        "ü" * 8000,
    )
    (author,) = built.message.all(b"from")
    assert decode_words(author.text()) == "ü" * 480 + " <desk@ours.test>" and message["Sender"] == "Jö <desk@ours.test>"
    assert [one.display_name for one in message["To"].addresses] == [f"Müller, {number}" for number in range(1000)]
    head = built.octets.partition(b"\r\n\r\n")[0]
    assert head.isascii() and max(map(len, head.split(b"\r\n"))) <= 78


def test_building_costs_no_more_than_in_proportion() -> None:
    """Calls of Python functions are counted, which no other load on the machine changes."""

    def calls(size: int) -> int:
        profile = cProfile.Profile()
        profile.runcall(
            build,
            subject="ü " * size,
            headers={"X-A": "ü " * size, "Sender": "ü " * (size // 10) + "<desk@ours.test>", "X-B": "a " * size},
            to=[f"{'ü ' * 20}<a{number}@x.test>" for number in range(size // 2)],
        )
        return sum(entry.callcount for entry in profile.getstats())

    calls(10)
    assert calls(1000) < 1000 * calls(10) / 10 and calls(1000) < 400_000


def test_the_domains_of_all_authors_are_told() -> None:
    raw = b"From: ceo@bank.test\r\nSender: desk@ours.test\r\n\r\nx\r\n"
    assert build(raw=raw).authors == ("bank.test", "ours.test")


@given(
    subject=st.text(max_size=60),
    text=st.text(max_size=200),
    name=st.text(max_size=30),
    header=st.text(max_size=60),
)
def test_no_text_adds_a_header_or_a_recipient(subject: str, text: str, name: str, header: str) -> None:
    try:
        built = build(subject=subject, text=text, headers={"X-A": header}, attachments=(Attached(name, "", b"x"),))
    except InvalidMail:
        return
    message = email.message_from_bytes(built.octets)
    assert sorted({key.lower() for key in message}) == sorted(
        {"from", "to", "subject", "date", "message-id", "x-a", "content-type", "mime-version"}
        | ({"content-transfer-encoding"} if "content-transfer-encoding" in message else set())
    )
    assert built.recipients == ("a@x.test",)
    assert built.octets.count(b"\n") == built.octets.count(b"\r\n") == built.octets.count(b"\r")


LINES = [
    b"Bcc: b@x.test", b"bcc : b@x.test,\r\n c@x.test", b"X-Mailscope-Tag: a\r\n\tb", b"X-Mailscope-: x", b"X-Mailscope-Other:",
    b"Date: Tue, 03 Nov 2026 12:22:54 +0000", b"Message-ID: <1@x>", b"Subject: x\r\n y", b"X-Bcc: stays", b"X: ",
]  # fmt: skip


@given(
    lines=st.lists(st.sampled_from(LINES), max_size=8, unique=True),
    body=st.sampled_from([b"", b"\r\n", b"\r\nx\r\n\r\ny\r\n", b"\r\nBcc: in the body\r\n"]),
)
def test_the_parts_of_a_message_are_those_of_its_octets(lines: list[bytes], body: bytes) -> None:
    """The parts are what is signed, the octets are what is sent."""
    built = build(raw=b"\r\n".join([b"From: desk@ours.test", *lines, b""]) + body)
    again = split_message(built.octets)
    assert (again.fields, again.body) == (built.message.fields, built.message.body)
    names = [entry.name for entry in again.fields]
    assert b"bcc" not in names and not any(name.startswith(b"x-mailscope-") for name in names)
    assert names.count(b"date") >= 1 and names.count(b"message-id") >= 1
    assert built.octets.endswith(body)
    assert all(line in built.octets for line in lines if line[:3].lower() != b"bcc" and line[:11] != b"X-Mailscope")


TWO_WAYS = [
    b'From: a@ours.test, "ceo@evil.test"',
    b"From: ceo <evil.test>, a@ours.test",
    b"From: team: a@ours.test;",
    b'From: "a@ours.test',
    b"From: <a@ours.test",
    b"From: a@ours.test, b@ours.test",
    b"From: a@ours.test ceo at evil.test",
    b"From: ceo\\@evil.test <a@ours.test>",
    b"From: <@evil.test:a@ours.test>",
    "From: ceo\uff20evil.test <a@ours.test>".encode(),
    b"From: a@ours.test\r\n \r\nX: y",
    b"X: y\r\n\t\r\nFrom: a@ours.test",
    b'From: a@ours.test\r\nSender: "ceo@evil.test", a@ours.test',
    b"From: a@ours.test\r\nResent-From: ceo <evil.test>, a@ours.test",
    b"From: a@ours.test\r\nX: a\x0bFrom: ceo@evil.test",
    b"From: a@ours.test\r\nX: a\x0cFrom: ceo@evil.test",
    b"From: a@ours.test\r\nX: a\x85From: ceo@evil.test",
    "From: a@ours.test\r\nX: a\x85From: ceo@evil.test".encode(),
    "From: a@ours.test\r\nX: a\u2028From: ceo@evil.test".encode(),
    "From: a@ours.test\r\nX: a\u00c5From: ceo@evil.test".encode(),
    *(
        b"From: a@ours.test\r\n%b: a@ours.test\r\n%b: b@ours.test" % (name, name.upper())
        for name in (b"Sender", b"Reply-To", b"Subject", b"Content-Type", b"Date", b"Message-ID", b"MIME-Version")
    ),
]


@pytest.mark.parametrize("head", TWO_WAYS, ids=repr)
def test_a_raw_message_that_two_readers_understand_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidMail) as caught:
        build(raw=head + b"\r\nTo: x@partner.test\r\n\r\nhi\r\n")
    assert caught.value.field == "raw" and caught.value.message


@pytest.mark.parametrize(
    "head",
    [
        "From: Jörg Åström <a@ours.test>\r\nSubject: … Å: ü\r\nX: Ångström",
        'From: "Müller, J. (x)" <a@ours.test> (office)\r\nSubject: a: b',
        "From: =?utf-8?q?J=C3=B6?=\r\n <a@ours.test>\r\nSender: b@ours.test\r\nResent-From: c@ours.test",
    ],
)
def test_a_raw_message_that_is_unusual_and_clear_is_taken(head: str) -> None:
    assert build(raw=head.encode() + b"\r\n\r\nhi\r\n").authors == ("ours.test",)


@pytest.mark.parametrize("name", ["Sender", "Resent-From", "Resent-Sender"])
def test_an_author_among_the_further_headers_is_one_address_and_told(name: str) -> None:
    with pytest.raises(InvalidMail, match="exactly one mail address"):
        build(headers={name: "a@ours.test, b@ours.test"})
    assert build(headers={name: "Jö <ceo@evil.test>"}).authors == ("ours.test", "evil.test")


def test_what_is_no_address_is_told_for_that_recipient_and_the_others_get_their_mail() -> None:
    built = build(
        to=("A <a@x.test>", "not an address", "b@x.test, c@x.test", "a@x..test"), cc=("x@",), bcc=("d@x.test",)
    )
    assert built.recipients == ("a@x.test", "not an address", "b@x.test, c@x.test", "a@x..test", "x@", "d@x.test")
    assert [field.text().strip() for field in built.message.all(b"to")] == ["A <a@x.test>"]
    assert not built.message.all(b"cc")


def test_an_encoded_word_in_a_file_name_begins_no_header() -> None:
    name = "=?utf-8?q?=0D=0ABcc:_evil=40x.test=0D=0A=0D=0Abody?="
    built = build_message(
        Outgoing(
            "desk@ours.test", ("a@b.test",), subject="s", text="hi", attachments=(Attached(name, "text/plain", b"x"),)
        )
    )
    assert b"\nBcc:" not in built.octets and b"\nbody" not in built.octets
