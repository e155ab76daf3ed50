"""What people read of a message, and that no message can make the reader fail."""

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail.read_body import MAX_PARTS, MAX_TEXT, MAX_UU_LINES, read_body


def mime(*lines: str) -> bytes:
    return "\r\n".join(("From: a@b.test", "MIME-Version: 1.0", *lines, "")).encode("utf-8", "surrogateescape")


PARTS = mime(
    "Content-Type: multipart/mixed; boundary=B",
    "",
    "--B",
    "Content-Type: multipart/alternative; boundary=C",
    "",
    "--C",
    "Content-Type: text/plain; charset=iso-8859-1",
    "Content-Transfer-Encoding: quoted-printable",
    "",
    "Gr=FC=DFe",
    "--C",
    "Content-Type: text/html; charset=utf-8",
    "",
    "<p>Hi</p>",
    "--C--",
    "--B",
    'Content-Type: application/pdf; name="=?utf-8?q?K=C3=BCche=2Epdf?="',
    "Content-Disposition: attachment",
    "Content-Transfer-Encoding: base64",
    "Content-ID: <one>",
    "",
    "JVBERg==",
    "--B",
    "Content-Type: message/rfc822",
    "",
    "Subject: inside",
    "",
    "inner",
    "--B--",
)


def test_text_html_and_attachments_are_told_apart() -> None:
    body = read_body(PARTS)
    assert (body.text, body.html.strip(), body.complete) == ("Grüße", "<p>Hi</p>", True)
    pdf, inner = body.attachments
    assert (pdf.name, pdf.type, pdf.content_id, pdf.content) == ("Küche.pdf", "application/pdf", "one", b"%PDF")
    assert inner.type == "message/rfc822" and b"Subject: inside" in inner.content


def test_a_text_that_is_attached_is_not_the_text() -> None:
    body = read_body(mime("Content-Type: text/plain", 'Content-Disposition: attachment; filename="a.txt"', "", "hello"))
    assert body.text == "" and body.attachments[0].name == "a.txt"


@pytest.mark.parametrize("charset", ["no-such-charset", "rot13", "hex", "undefined", "utf-8\x00", "idna", "'"])
def test_an_unknown_charset_is_read_as_utf8(charset: str) -> None:
    assert "Grüße" in read_body(mime(f'Content-Type: text/plain; charset="{charset}"', "", "Grüße")).text


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?b?a?=",
        "=?no-such?q?x?=",
        "=?utf-8?q?=?=",
        "../../etc/passwd",
        "a\x1b[31mb.txt",
        "..\\x.exe",
        "=?" * 999,
    ],
)
def test_a_name_that_cannot_be_decoded_is_still_a_name_and_never_a_path(name: str) -> None:
    body = read_body(mime(f'Content-Type: application/x-y; name="{name}"', "", "x"))
    (attachment,) = body.attachments
    assert attachment.content.strip() == b"x" and len(attachment.name) <= 255
    assert not {"/", "\\", "\x1b"} & set(attachment.name)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("attachment; filename=my file.pdf", "my file.pdf"),
        ('attachment; size=1; FileName="a;b.pdf"', "a;b.pdf"),
        ("attachment; filename*=UTF-8''K%C3%BCche.pdf", "Küche.pdf"),
        ("attachment; filename=plain; filename*=iso-8859-1'de'K%FCche", "Küche"),
        ("attachment; filename*0*=utf-8''K%C3; filename*1*=%BCche; filename*2=100%.pdf", "Küche100%.pdf"),
        ('attachment; filename*1=b; filename*0="a"', "ab"),
        ("attachment; filename*=no-quotes%2Epdf", "no-quotes.pdf"),
        ("attachment; filename*=utf-7''+2AA-.pdf", "+2AA-.pdf"),
        ('attachment; filename="=?utf-7?q?+2AA-?="', "+2AA-"),
    ],
)
def test_names_are_read_in_all_their_forms(field: str, name: str) -> None:
    (attachment,) = read_body(mime(f"Content-Disposition: {field}", "", "x")).attachments
    assert attachment.name == name


@pytest.mark.parametrize(
    ("encoding", "content", "read"),
    [
        ("base64", "aGVs\r\nbG8", b"hello"),
        ("BASE64 ", "aGVsbG8=!\r\n--", b"hello"),
        ("base64", "aGVsbG8gd29ybGQh?a", b"hello world!"),
        ("base64", "a", b""),
        ("quoted-printable", "h=65l=\r\nlo=", b"hello"),
        ("x-uuencode", "begin 644 x\r\n%:&5L;&\\\r\n`\r\nend", b"hello"),
        ("x-unknown", "hello", b"hello"),
    ],
)
def test_transfer_encodings_are_undone_as_far_as_they_go(encoding: str, content: str, read: bytes) -> None:
    raw = b"Content-Type: a/b\r\nContent-Transfer-Encoding: %s\r\n\r\n%s" % (encoding.encode(), content.encode())
    assert [one.content for one in read_body(raw).attachments] == [read]


@pytest.mark.parametrize("line", [b"\r\n", b"\n", b"\r", b"~\n", b" \n"], ids=repr)
def test_lines_of_nothing_are_read_in_no_time(line: bytes) -> None:
    raw = b"Content-Type: a/b\r\nContent-Transfer-Encoding: uuencode\r\n\r\nbegin 644 x\r\n" + line * (8 << 20)
    begun = time.process_time()
    assert len(read_body(raw).attachments[0].content) <= 63 * MAX_UU_LINES
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "raw_unicode_escape", "utf-16", "punycode"])
def test_no_charset_makes_text_that_cannot_be_stored_or_takes_long(charset: str) -> None:
    head = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
    begun = time.process_time()
    for content in (b"+2AA-", b"\\ud800", b"\x00\xd8", b"a-b9"):
        json.dumps(read_body(head + content * 200_000).text, ensure_ascii=False).encode()
    assert time.process_time() - begun < 2


def test_too_deep_or_too_many_parts_are_left_out_and_it_is_said() -> None:
    deep = "\r\n".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}" for n in range(3000))
    many = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + "--b\r\n\r\nx\r\n" * (MAX_PARTS + 500)
    for text in (deep, many):
        body = read_body(text.encode())
        assert not body.complete and len(body.attachments) <= MAX_PARTS


def test_a_long_text_is_cut_and_it_is_said() -> None:
    body = read_body(mime("Content-Type: text/plain", "", "x" * (MAX_TEXT + 10)))
    assert len(body.text) == MAX_TEXT and not body.complete


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_no_octets_make_it_raise(octets: bytes) -> None:
    read_body(octets)
    read_body(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + octets)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_no_damage_to_a_real_message_makes_it_raise(seed: int) -> None:
    chance = random.Random(seed)
    octets = bytearray(PARTS)
    for _ in range(chance.randrange(1, 30)):
        place = chance.randrange(len(octets))
        octets[place : place + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
    read_body(bytes(octets))
