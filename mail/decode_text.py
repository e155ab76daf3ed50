"""Octets of a mail as text: charsets of an allow-list, and encoded words (RFC 2047). Linear, bounded, never raises.

Python's own list of codecs also holds what is no charset (rot13, hex, punycode, which takes quadratic time) and what
makes lone surrogates (utf-7, unicode_escape), which neither UTF-8 nor JSON can carry. So a charset is one of the
labels of the WHATWG Encoding Standard §4.2; anything else is read as UTF-8, as US-ASCII is, whose mail often is UTF-8.
"""

import binascii
import codecs
import re
from functools import cache

MAX_WORDS = 64 * 1024  # characters that `decode_words` reads

_ONE_OCTET = {  # codec of Python: labels
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859_2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859_3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859_4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859_5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859_6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i "
    "iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859_7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
    "iso_8859-7:1987 sun_eu_greek",
    "iso8859_8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-8859-8-i iso-ir-138 "
    "iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 logical visual",
    "iso8859_10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859_13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859_14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859_15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859_16": "iso-8859-16",
    "koi8_r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8_u": "koi8-ru koi8-u",
    "mac_roman": "csmacintosh mac macintosh x-mac-roman",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 "
    "latin1 windows-1252 x-cp1252",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 "
    "windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
}
_SEVERAL_OCTETS = {
    "gb18030": "chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp_ext": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949",
    "iso2022_kr": "csiso2022kr iso-2022-kr",  # a browser refuses these two for what scripts could do with them;
    "hz": "hz-gb-2312",  # mail is written in them, and here the octets become UTF-8 at once
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}
_CODECS = {
    label: codec
    for table in (_ONE_OCTET, _SEVERAL_OCTETS)
    for codec, labels in table.items()
    for label in labels.split()
}
_MOST_OCTETS = 4  # what one character of UTF-8, UTF-16 and GB18030 takes at most

_WORD = re.compile(r"=\?([^?*\s]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_ESCAPED = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.sub(rb"[A-Za-z0-9+/]", b"", bytes(range(256)))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def decode_charset(octets: bytes | bytearray, charset: str, limit: int) -> tuple[str, bool]:
    """At most `limit` characters of text, and whether that is all of it. The octets are cut before they are decoded."""
    codec = _CODECS.get(charset.strip().lower(), "utf-8")
    most = limit if codec in _ONE_OCTET else _MOST_OCTETS * limit
    if codec in _ONE_OCTET:
        text, _ = codecs.charmap_decode(octets[:most], "strict", _table(codec))
    else:
        text = octets[:most].decode(codec, "replace")
    return without_surrogates(text[:limit]), len(octets) <= most and len(text) <= limit


def decode_words(text: str) -> str:
    """Encoded words decoded (RFC 2047), as one line; a word that cannot be decoded stays as it is. Never raises."""
    text = text[:MAX_WORDS]
    parts: list[str] = []
    word: bytearray | None = None  # octets of the encoded words so far: a character may be split between two (§5)
    charset, end = "", 0

    for match in _WORD.finditer(text):
        octets = _decode_word(match[2], match[3])
        between = text[end : match.start()]
        if word is not None and octets is not None and not between.strip():
            between = ""  # space between two encoded words is not shown (§6.2)
        if word is not None and (between or octets is None or match[1].lower() != charset):
            parts.append(decode_charset(word, charset, MAX_WORDS)[0])
            word = None
        parts.append(between)
        if octets is None:
            parts.append(match[0])
        elif word is None:
            word, charset = bytearray(octets), match[1].lower()
        else:
            word += octets
        end = match.end()
    if word is not None:
        parts.append(decode_charset(word, charset, MAX_WORDS)[0])
    parts.append(text[end:])
    return without_surrogates(_CONTROL.sub(" ", "".join(parts)).strip())


def decode_base64(octets: bytes) -> bytes | None:
    """What base64 stands for, foreign characters and missing padding forgiven (RFC 2045 §6.8); None where nothing can be."""
    try:
        return binascii.a2b_base64(octets + b"===")
    except binascii.Error:
        digits = octets.translate(None, _NOT_BASE64)
        whole = len(digits) // 4 * 4
        return binascii.a2b_base64(digits[:whole]) if whole else None


def without_surrogates(text: str) -> str:
    """The text as UTF-8 can carry it: a lone surrogate becomes `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


@cache
def _table(codec: str) -> str:
    """The character of each octet, U+FFFD where there is none: Python's codec takes 0.1 µs for each of those."""
    return bytes(range(256)).decode(codec, "replace")


def _decode_word(encoding: str, text: str) -> bytes | None:
    octets = text.encode("utf-8", "replace")
    if encoding in "bB":
        return decode_base64(octets)
    return _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), octets.replace(b"_", b" "))
