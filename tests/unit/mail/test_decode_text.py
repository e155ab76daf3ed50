"""Text of any charset: what is read, and that everything that is read can be stored."""

import json
import time
from base64 import b64encode
from encodings.aliases import aliases

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail.decode_text import _CODECS, MAX_WORDS, decode_charset, decode_words

CHARSETS = st.one_of(
    st.sampled_from(
        sorted({*aliases, *aliases.values(), *_CODECS, "unicode_escape", "idna", "undefined", "unknown-8bit"})
    ),
    st.text(max_size=20),
)


def can_be_stored(text: str) -> bool:
    json.dumps(text, ensure_ascii=False).encode("utf-8")
    return True


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe_aus?= Berlin", "Grüße aus Berlin"),
        ("=?iso-8859-1?q?Gr=FC=DFe?=", "Grüße"),
        ("=?windows-1252?q?=80?=", "€"),
        ("=?us-ascii*en?q?plain?=", "plain"),
        ("=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=\r\n\t=?iso-8859-1?q?=FC?= c", "abü c"),
        ("=?utf-8?b?8J+Y?= =?utf-8?b?gA?=", "😀"),
        ("=?utf-8?q?line=0D=0AX-Injected:_1?=", "line  X-Injected: 1"),
        ("=?no-such?q?=C3=BC?=", "ü"),
        ("=?utf-8?b?a?= x", "=?utf-8?b?a?= x"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("no word at all ", "no word at all"),
    ],
)
def test_encoded_words_are_read(written: str, read: str) -> None:
    assert decode_words(written) == read


@pytest.mark.parametrize(
    ("charset", "octets"),
    [
        ("utf-7", b"+2AA-"),
        ("unicode_escape", b"\\ud800"),
        ("raw_unicode_escape", b"\\ud800"),
        ("punycode", b"abc-ls3a"),
        ("idna", b"xn--bcher-kva"),
        ("rot13", b"uryyb"),
        ("hex", b"6869"),
        ("zip", b"x"),
    ],
)
def test_codecs_that_are_no_charsets_are_never_used(charset: str, octets: bytes) -> None:
    assert decode_charset(octets, charset, 100) == (octets.decode(), True)
    assert decode_words(f"=?{charset}?b?{b64encode(octets).decode()}?=") == octets.decode()


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300), CHARSETS)
def test_any_octets_in_any_charset_give_text_that_can_be_stored(octets: bytes, charset: str) -> None:
    text, _ = decode_charset(octets, charset, 1000)
    assert can_be_stored(text)
    assert can_be_stored(decode_words(f"=?{charset}?b?{b64encode(octets).decode()}?="))
    quoted = "".join(f"={octet:02X}" for octet in octets)
    assert can_be_stored(decode_words(f"=?{charset}?q?{quoted}?="))


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None, categories=None), max_size=60))
def test_any_text_gives_text_that_can_be_stored(text: str) -> None:
    assert can_be_stored(decode_words(text)) and can_be_stored(decode_words("=?utf-8?q?" + text + "?="))


@pytest.mark.parametrize("charset", ["punycode", *sorted(set(_CODECS.values()))])
@pytest.mark.parametrize("pattern", [b"a", b"\xff", b"\x81", b"\x1b$B\x7f", b"~{", b"+2AA-"])
def test_no_charset_is_slow(charset: str, pattern: bytes) -> None:
    octets = pattern * (900_000 // len(pattern))
    begun = time.process_time()
    text, _ = decode_charset(octets, charset, 1 << 20)
    assert time.process_time() - begun < 0.5 and len(text) <= 1 << 20


@pytest.mark.parametrize(
    "pattern", ["=?", "=?a?q?", "=?a?q?x", "=?utf-8?q?=ff?= ", "=?utf-8?b?8J+Y?= ", "=?" + "a" * 39]
)
def test_no_field_is_slow(pattern: str) -> None:
    begun = time.process_time()
    decode_words(pattern * (MAX_WORDS // len(pattern)))
    assert time.process_time() - begun < 0.5


def test_text_is_cut_before_it_is_decoded() -> None:
    assert decode_charset(b"abc", "latin1", 2) == ("ab", False)
    assert decode_charset("ü".encode() * 5, "utf-8", 5) == ("ü" * 5, True)
    assert decode_charset(b"x" * 100_000_000, "cp1252", 5) == ("xxxxx", False)
