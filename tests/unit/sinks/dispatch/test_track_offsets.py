"""What a sink commits, in whatever order its commands end and whenever it is killed."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.dispatch.track_offsets import MAX_SPAN, Progress


def test_the_oldest_open_command_holds_the_offset_and_what_is_done_behind_it_is_remembered() -> None:
    progress = Progress(10)
    for offset in (10, 11, 12, 13):
        progress.start(offset)
    progress.finish(11)
    progress.finish(13)
    offset, metadata = progress.to_commit() or (0, "")
    again = Progress(offset, metadata)
    assert offset == 10 and [one for one in range(10, 16) if again.is_done(one)] == [11, 13]
    assert progress.to_commit() is None
    progress.finish(10)
    offset, metadata = progress.to_commit() or (0, "")
    assert offset == 12 and [one for one in range(12, 16) if Progress(offset, metadata).is_done(one)] == [13]
    progress.finish(12)
    assert progress.to_commit() == (14, "")


def test_metadata_of_somebody_else_is_no_reason_to_skip_anything() -> None:
    for metadata in ("", "hello", "[1]", "[[5,9]]", "b:", "b:///", "b:5", "z:AAAA", "z:////////", "q://///w=="):
        assert not Progress(5, metadata).is_done(5)


@given(st.permutations(list(range(20))), st.integers(0, 20), st.data())
def test_killed_anywhere_nothing_unfinished_is_skipped_and_nothing_committed_as_done_is_repeated(
    order: list[int], until: int, data: st.DataObject
) -> None:
    progress = Progress(0)
    for offset in range(20):
        progress.start(offset)
    finished: set[int] = set()
    committed, done_when_committed = (0, ""), set[int]()
    for offset in order[:until]:
        progress.finish(offset)
        finished.add(offset)
        if data.draw(st.booleans()):
            state = progress.to_commit()
            if state is not None:
                committed, done_when_committed = state, set(finished)
    again = Progress(*committed)
    run = set()
    for offset in range(committed[0], 20):
        state = again.to_commit()  # the loop commits between any two reads
        assert state is None or set(range(state[0])) <= done_when_committed | run
        if again.is_done(offset):
            again.skip(offset)
        else:
            again.start(offset)
            again.finish(offset)
            run.add(offset)
    assert run == set(range(20)) - done_when_committed
    assert again.to_commit() in (None, (20, ""))


def test_a_gap_before_what_is_done_is_not_jumped_over_before_it_was_read() -> None:
    progress = Progress(5)
    for offset in (5, 6):
        progress.start(offset)
    progress.finish(6)
    offset, metadata = progress.to_commit() or (0, "")
    again = Progress(offset, metadata)
    assert again.to_commit() in (None, (5, metadata))
    assert not again.is_done(5) and again.is_done(6)
    again.start(5)
    again.skip(6)
    assert (again.to_commit() or (5,))[0] == 5
    again.finish(5)
    assert again.to_commit() == (7, "")


@settings(deadline=None, max_examples=15)
@given(st.sets(st.integers(0, MAX_SPAN - 1), max_size=3000), st.sampled_from([2, 3, 7, 1000]))
def test_whatever_is_done_within_the_span_fits_and_comes_back(scattered: set[int], every: int) -> None:
    """10,000 read and every third open is what a slow destination makes: all of it is remembered."""
    for done in (scattered, {offset for offset in range(MAX_SPAN) if offset % every}):
        progress = Progress(0)
        for offset in range(MAX_SPAN):
            progress.start(offset)
        for offset in done - {0}:
            progress.finish(offset)
        state = progress.to_commit()
        assert state is not None and len(state[1]) <= 4096 and progress.far_ahead
        again = Progress(*state)
        assert {offset for offset in range(MAX_SPAN) if again.is_done(offset)} == done - {0}


def test_the_worst_that_can_be_done_within_the_span_fits_too() -> None:
    chosen = random.Random(4)
    progress = Progress(7)
    for offset in range(7, 7 + MAX_SPAN):
        progress.start(offset)
    done = {offset for offset in range(8, 7 + MAX_SPAN) if chosen.random() < 0.5}
    for offset in done:
        progress.finish(offset)
    offset, metadata = progress.to_commit() or (0, "")
    again = Progress(offset, metadata)
    assert 0 < len(metadata) <= 4096 and {one for one in range(7, 7 + MAX_SPAN) if again.is_done(one)} == done


def test_a_commit_that_failed_is_written_again() -> None:
    progress = Progress(3)
    progress.start(3)
    progress.finish(3)
    assert progress.to_commit() == (4, "") and progress.to_commit() is None
    progress.write_again()
    assert progress.to_commit() == (4, "")
