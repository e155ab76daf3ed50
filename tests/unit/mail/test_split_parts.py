"""How a message falls into parts: as its sender wrote it, in one pass, whatever it holds."""

import email.policy
import random
import time
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from mail.read_body import MAX_DEPTH, MAX_PARTS, read_body
from mail.split_parts import MAX_LINES, split_parts

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def contents(raw: bytes) -> list[bytes]:
    return [part.content for part in split_parts(raw)[0]]


def deep(levels: int, inside: str) -> bytes:
    heads = "\r\n".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}" for n in range(levels))
    return f"{heads}\r\n\r\n{inside}".encode()


@pytest.mark.parametrize(
    ("parameter", "boundary"),
    [
        ('; boundary="a\r\n b"', "a b"),
        (';\r\n boundary="a\r\n b"', "a b"),
        (';\r\n\tboundary="a\r\n\tb"; charset=utf-8', "a\tb"),
        (';\r\n boundary="a b"', "a b"),
        (';\r\n boundary=\r\n "a b"', "a b"),
        ('; charset="x;boundary=no";\r\n boundary = ab', "ab"),
        ('; BOUNDARY="a\\"b" ', 'a"b'),
        ('; boundary="=_;(x)?"', "=_;(x)?"),
        ('; boundary="never closed', "never closed"),
        ("; boundary*0=a;\r\n boundary*1=b", "ab"),
        ("; boundary*=us-ascii''a%20b", "a b"),
        ("; boundary=" + "a" * 200, "a" * 200),
        ('; boundary="\u00fc"', "\u00fc"),
    ],
)
def test_the_body_behind_any_spelling_of_a_boundary_is_found(parameter: str, boundary: str) -> None:
    raw = f"Content-Type: multipart/mixed{parameter}\r\n\r\n--{boundary}\r\n\r\nhello\r\n--{boundary}--\r\nend"
    for octets in (raw.encode(), raw.replace("\r\n", "\n").encode()):
        body = read_body(octets)
        assert (body.text, body.attachments, body.complete) == ("hello", (), True)


def test_only_a_whole_line_is_a_delimiter() -> None:
    inside = b"--bb\r\n--b x\r\n --b\r\nx--b\r\n---b\r\n\r--b"
    assert contents(MIXED + b"before\r\n--b \t\r\n\r\n" + inside + b"\r\n--b\r\n\r\ntwo\r\n--b-- \r\nafter") == [
        inside,
        b"two",
    ]


def test_a_delimiter_of_an_outer_part_ends_all_inner_ones() -> None:
    inner = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\none\r\n"
    assert contents(MIXED + inner + b"--b\r\n\r\ntwo\r\n--c\r\n--b--") == [b"one", b"two\r\n--c"]


def test_a_boundary_used_twice_belongs_to_the_inner_part() -> None:
    assert contents(MIXED + b"--b\r\n" + MIXED + b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n") == [
        b"one",
        b"two",
    ]


def test_parts_without_a_header_or_a_content_are_parts() -> None:
    raw = MIXED + b"--b\r\nHello there,\r\n\r\nhow?\r\n--b\r\nContent-ID: <x>\r\n--b\r\n\r\n--b\r\n"
    assert contents(raw) == [b"Hello there,\r\n\r\nhow?", b"", b"", b""]


@pytest.mark.parametrize("kind", ["multipart/mixed", "multipart/mixed; boundary=z", "multipart/mixed; boundary="])
def test_a_multipart_without_its_boundary_is_shown_as_text(kind: str) -> None:
    body = read_body(f"Content-Type: {kind}\r\n\r\nhello".encode())
    assert (body.text, body.complete) == ("hello", False)


def test_parts_of_a_digest_are_messages() -> None:
    raw = MIXED.replace(b"mixed", b"digest") + b"--b\r\n\r\nSubject: one\r\n\r\nx\r\n--b--"
    (attachment,) = read_body(raw).attachments
    assert (attachment.type, attachment.content) == ("message/rfc822", b"Subject: one\r\n\r\nx")


def test_an_attached_message_keeps_its_octets() -> None:
    inner = b"subject:  x\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\none\r\n--c--"
    raw = MIXED + b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b--"
    assert [one.content for one in read_body(raw).attachments] == [inner]


def test_depth_is_capped_and_it_is_said() -> None:
    assert read_body(deep(MAX_DEPTH, "hello")).text == "hello"
    body = read_body(deep(MAX_DEPTH + 1, "hello"))
    assert (body.text, body.complete) == ("", False)


def test_the_number_of_parts_is_capped_and_it_is_said() -> None:
    parts, complete = split_parts(MIXED + b"--b\r\n\r\nx\r\n" * (MAX_PARTS - 1))
    assert (len(parts), complete) == (MAX_PARTS - 1, True)
    parts, complete = split_parts(MIXED + b"--b\r\n\r\nx\r\n" * MAX_PARTS)
    assert (len(parts), complete) == (MAX_PARTS - 1, False)


LINES = [
    b"--x\n",
    b"--b\r\n",
    b"--b--\r\n",
    b"\n--",
    b"\n",
    b"\r",
    b": \n",
    b"a:\n",
    b"--" + b"x" * 248 + b"\n",
    b"--b  x\n",
]
PARAMETERS = ["; ", ';a="', ";a=b", ";a*0=b", " ", '"', '; boundary="', "\\", ";;", "(;"]


def test_lines_like_delimiters_are_looked_up_so_often_and_it_is_said() -> None:
    parts, complete = split_parts(
        MIXED + b"--b\r\n\r\none\r\n" + b"--x\r\n" * (MAX_LINES + 1) + b"--b\r\n\r\ntwo\r\n--b--"
    )
    assert len(parts) == 1 and parts[0].content.endswith(b"--b--") and not complete


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(deep(300, "line\r\n" * 150_000), id="300 levels, 950 KB"),
        pytest.param(deep(MAX_DEPTH, "--line\r\n" * 150_000), id="50 levels, 1 MB of lines like delimiters"),
        pytest.param(deep(3000, ""), id="3,000 levels"),
        pytest.param(MIXED + b"--b\r\n\r\nx\r\n" * 10_000, id="10,000 parts"),
        pytest.param(MIXED + (b"--b\r\n" + b"A: b\r\n" * 170) * 1000, id="1,000 headers without an end"),
        pytest.param(MIXED + b"--b\r\nA: b\r\n\r\nx\r\n" * 900 + b"x\r\n" * 350_000, id="900 parts and 1 MB"),
        pytest.param(b"Content-Type: multipart/mixed;\r\n" + b" a=b;\r\n" * 140_000 + b"\r\n", id="1 MB of folds"),
        *(pytest.param(line * ((1 << 20) // len(line)), id=f"1 MB of {line[:6]!r}") for line in LINES),
        *(
            pytest.param(MIXED + b"--b\r\n" + line * ((1 << 20) // len(line)), id=f"a part of {line[:6]!r}")
            for line in LINES
        ),
        *(
            pytest.param(
                f"Content-Type: text/plain{text * (60_000 // len(text))}\r\n\r\nx".encode(), id=f"60 KB of {text!r}"
            )
            for text in PARAMETERS
        ),
    ],
)
def test_no_message_is_slow(raw: bytes) -> None:
    begun = time.process_time()
    read_body(raw)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("seed", range(100))
def test_what_a_library_writes_is_read_as_it_was_meant(seed: int) -> None:
    chance = random.Random(seed)
    texts: list[bytes] = []
    message = _write(chance, 0, texts)
    octets = message.as_bytes(policy=email.policy.compat32.clone(linesep=chance.choice(["\n", "\r\n"])))
    body = read_body(octets)
    assert body.complete
    shown = [text.encode() for text in (body.text, body.html) if text]
    assert sorted([*shown, *(one.content for one in body.attachments)]) == sorted(texts)


def _write(chance: random.Random, depth: int, texts: list[bytes]) -> Message:
    kind = chance.randrange(6)
    if kind < 3 and depth < 6:
        container = MIMEMultipart(chance.choice(["mixed", "alternative", "related"]))
        for _ in range(chance.randrange(1, 4)):
            container.attach(_write(chance, depth + 1, texts))
        if chance.random() < 0.3:
            container.preamble, container.epilogue = "before\n--x\n", "after\n"
        return container
    if kind == 4:
        inner = MIMEText("inner")
        texts.append(inner.as_bytes())
        part: Message = MIMEApplication(inner.as_bytes(), "octet-stream")
        part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", "Kü;" * 30))
        return part
    if kind == 5:
        texts.append(b"Subject: x\n\n\ntext")
        message = Message()
        message["Subject"] = "x"
        message.set_payload("\ntext")
        wrapped = MIMEApplication(message.as_bytes())
        wrapped.replace_header("Content-Type", "message/rfc822")
        return wrapped
    text = f"text ü {chance.random()}" + chance.choice(["", "\n", "\n\n--q\n\nmore\n"])
    texts.append(text.encode())
    return MIMEText(text, chance.choice(["plain", "html"]), "utf-8")
