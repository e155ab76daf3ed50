from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.render_page import clock_time, octets, one_line, query


def test_text_that_deceives_the_eye_becomes_visible() -> None:
    assert one_line("invoice\u202excod.exe\x1b[31m\r\nX:\u200b") == "invoice\ufffdxcod.exe\ufffd[31m  X:\ufffd"
    assert one_line("Grüße 你好 مرحبا 👩‍🚀") == "Grüße 你好 مرحبا 👩‍🚀"
    assert one_line(None) == ""


@given(st.text())
def test_a_line_is_a_line(text: str) -> None:
    assert len(one_line(text)) == len(text) and not set(one_line(text)) & set("\r\n\t\0\x7f")


def test_today_shows_the_time_and_other_days_the_day() -> None:
    now = datetime(2026, 11, 3, 12, tzinfo=UTC)
    assert clock_time("2026-11-03T01:02:03.000Z", now) == "01:02:03"
    assert clock_time("2026-11-02T01:02:03.000Z", now) == "2 Nov 01:02"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (376, "376 B"), (1473, "1.4 KiB"), (20 << 20, "20 MiB"), (3 << 30, "3 GiB")]
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert octets(size) == text


def test_a_link_changes_one_parameter_and_keeps_the_others() -> None:
    assert query({"q": "a&b", "cursor": "x"}, cursor=None, status="sent") == "?q=a%26b&status=sent"
    assert query({"q": "a"}, q=None) == "?"
