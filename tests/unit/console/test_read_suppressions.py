"""Suppressions from CSV: each line is added, or says what is wrong with it."""

from datetime import UTC, datetime

import pytest

from console.answer_errors import Problem
from console.read_suppressions import read_suppressions

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_each_line_says_what_is_wrong_with_it() -> None:
    lines = read_suppressions(
        b"\xef\xbb\xbfAddress,reason,expires_at,note\r\n"
        b"a@x.test,,,\r\n"
        b"not an address,,,\r\n"
        b"b@x.test,because,,\r\n"
        b"c@x.test,complaint,2020-01-01T00:00:00Z,\r\n"
        b'd@x.test,complaint,2027-01-01,"two\nlines"\r\n'
        b"\r\n"
        b"'=e@x.test,manual,,\r\n"
        b"f@x.test,manual,,,,\r\n",
        NOW,
        "anna",
    )
    assert [(line.number, line.address, line.message[:30]) for line in lines] == [
        (2, "a@x.test", ""),
        (3, "not an address", "this is no mail address"),
        (4, "b@x.test", "'because' is no reason (of: in"),
        (5, "c@x.test", "expires_at is in the past"),
        (6, "d@x.test", ""),
        (8, "=e@x.test", ""),
        (9, "f@x.test", "it has more cells than the hea"),
    ]
    assert lines[0].change is not None and lines[0].change.reason == "manual"
    assert lines[4].change is not None and lines[4].change.expires_at == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("octets", [b"", b"reason\r\n", b"address,colour\r\n", b"\xff\xfe", b'address\r\n"a@x.test'])
def test_what_is_no_such_file_is_refused_as_a_whole(octets: bytes) -> None:
    with pytest.raises(Problem):
        read_suppressions(octets, NOW, "anna")
