"""What people read of a message, and that no message can make the reader fail."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail.read_body import MAX_PARTS, MAX_TEXT, read_body


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
