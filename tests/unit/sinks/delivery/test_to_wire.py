"""Content as it follows DATA (RFC 5321 section 4.5.2)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.delivery.open_session import to_wire


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"Subject: x\r\n\r\nhello\r\n", b"Subject: x\r\n\r\nhello\r\n.\r\n"),
        (b"a\r\n.b\r\n..\r\n.\r\n", b"a\r\n..b\r\n...\r\n..\r\n.\r\n"),
        (b".a\r\n", b"..a\r\n.\r\n"),
        (b"a\nb\rc", b"a\r\nb\r\nc\r\n.\r\n"),
        (b"a\n.\r\nb\r.\n", b"a\r\n..\r\nb\r\n..\r\n.\r\n"),
        (b"a\r\nb", b"a\r\nb\r\n.\r\n"),
        (b"a\n\rb\r\n", b"a\r\n\r\nb\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
    ],
)
def test_lines_end_alike_and_no_line_ends_the_content_but_the_last(content: bytes, wire: bytes) -> None:
    assert to_wire(content) == wire


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.\r\n"])).map(b"".join))
def test_whatever_it_is_it_arrives_as_one_message_with_the_lines_it_had(content: bytes) -> None:
    wire = to_wire(content)
    assert wire.find(b"\r\n.\r\n") == len(wire) - 5
    lines = wire.removesuffix(b".\r\n").split(b"\r\n")[:-1]
    assert not any(b"\r" in line or b"\n" in line or line == b"." for line in lines)
    arrived = [line[1:] if line.startswith(b".") else line for line in lines]
    ours = re.split(rb"\r\n|\r|\n", content)
    assert arrived == (ours[:-1] if not ours[-1] and len(ours) > 1 else ours)
