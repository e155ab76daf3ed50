"""Splitting a message: every byte kept, every doubt flagged."""

import pytest

from mail.parse_headers import MAX_FIELDS, Flag, split_message, unfold


def flags(raw: bytes) -> set[str]:
    return {flag.value for flag in split_message(raw).flags}


def test_fields_keep_their_bytes_and_bodies_their_lines() -> None:
    message = split_message(b"From: a@b.example\r\nSubject:  x\r\n\ty \r\n\r\nbody\r\n\r\nmore")
    assert [(field.name, field.raw) for field in message.fields] == [
        (b"from", b"From: a@b.example"),
        (b"subject", b"Subject:  x\r\n\ty "),
    ]
    assert message.fields[1].text() == "x\ty"
    assert message.body == b"body\r\n\r\nmore"
    assert message.flags == []


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        (b"", Flag.NO_FROM),
        (b"From: a\r\nFrom: b\r\n\r\n", Flag.MULTIPLE_FROM),
        (b"From : a\r\n\r\n", Flag.OBSOLETE_FROM),
        (b"\xef\xbb\xbfFrom: a\r\n\r\n", Flag.BOM),
        (b"\xef\xbb\xbfFrom: a\r\n\r\n", Flag.HIDDEN_FROM),
        (b"X: 1\rFrom: a\r\n\r\n", Flag.HIDDEN_FROM),
        (b"X: 1\r From\t: a\r\n\r\n", Flag.HIDDEN_FROM),
        (b"X: 1\ry\r\n\r\n", Flag.BARE_CR),
        (b"X: 1\ny: 2\r\n\r\n", Flag.BARE_LF),
        (b"X: \x00\r\n\r\n", Flag.NUL),
        (b" From: a\r\nX: 1\r\n\r\n", Flag.LEADING_FOLD),
        (b"no colon\r\n\r\n", Flag.MALFORMED_HEADER),
        (b": empty name\r\n\r\n", Flag.MALFORMED_HEADER),
        (b"S\xc3\xbcbject: x\r\n\r\n", Flag.NON_ASCII_NAME),
        (b"Subject: a\r\nSubject: b\r\n\r\n", Flag.DUPLICATE_FIELD),
        (b"X: y\r\n" * (MAX_FIELDS + 5), Flag.HEADER_CAP),
        (b"X: " + b"y" * 2_000_000, Flag.HEADER_CAP),
    ],
)
def test_doubts_are_flagged(raw: bytes, flag: Flag) -> None:
    assert flag.value in flags(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"From a@b.example Mon Sep 21 10:00:00 2026\r\nFrom: a@b.example\r\n\r\nx",
        b"From: a@b.example\r\nX-From: b\r\nReceived: 1\r\nReceived: 2\r\n\r\nFrom: in the body\r\n",
        b"From: a@b.example",
    ],
)
def test_ordinary_mail_has_no_flag(raw: bytes) -> None:
    assert flags(raw) == set()
    assert [field.name for field in split_message(raw).fields].count(b"from") == 1


def test_empty_header_leaves_the_body() -> None:
    assert split_message(b"\r\nFrom: x\r\n").body == b"From: x\r\n"


def test_unfolding_leaves_one_line() -> None:
    assert unfold(b" a\r\n b\r\n\tc\rd\ne\x00f") == b" a b\tc d e f"
