"""When the content of a message takes too long."""

from ingest.smtp.time_content import GRACE, ContentClock


def test_a_minute_is_free_and_then_the_pace_counts() -> None:
    slow, quick = (ContentClock(0, 600, 300, 256) for _ in range(2))
    slow.hear(50, 10_000)
    quick.hear(50, 20_000)
    assert not slow.is_late(GRACE - 1)
    assert slow.is_late(GRACE) and not quick.is_late(GRACE)
    assert quick.is_late(600), "all of it has its time"


def test_no_rate_asked_for_is_none_missed() -> None:
    clock = ContentClock(0, 600, 300, 0)
    assert not clock.is_late(599) and clock.is_late(600)


def test_silence_is_counted_from_the_last_piece() -> None:
    clock = ContentClock(0, 600, 30, 0)
    clock.hear(20, 1)
    assert not clock.is_silent(49) and clock.is_silent(50)
    assert clock.next_look(21) == 29
    clock.hear(580, 1)
    assert clock.next_look(590) == 10
