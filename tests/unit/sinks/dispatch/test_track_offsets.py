"""What a sink commits, in whatever order its commands end and whenever it is killed."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.dispatch.track_offsets import Progress


def test_the_oldest_open_command_holds_the_offset_and_what_is_done_behind_it_is_remembered() -> None:
    progress = Progress(10)
    for offset in (10, 11, 12, 13):
        progress.start(offset)
    progress.finish(11)
    progress.finish(13)
    assert progress.to_commit() == (10, "[[11,11],[13,13]]")
    assert progress.to_commit() is None
    progress.finish(10)
    assert progress.to_commit() == (12, "[[13,13]]")
    progress.finish(12)
    assert progress.to_commit() == (14, "")


def test_metadata_of_somebody_else_is_no_reason_to_skip_anything() -> None:
    for metadata in ("", "hello", "[1]", '{"a": 1}', "[[1]]"):
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
    progress = Progress(5, "[[6,6]]")
    assert progress.to_commit() in (None, (5, "[[6,6]]"))
    assert not progress.is_done(5) and progress.is_done(6)
    progress.start(5)
    progress.skip(6)
    assert progress.to_commit() is None or progress.to_commit() == (5, "[[6,6]]")
    progress.finish(5)
    assert progress.to_commit() == (7, "")


def test_more_than_kafka_keeps_is_cut_and_the_rest_is_repeated() -> None:
    progress = Progress(0)
    for offset in range(4000):
        progress.start(offset)
    for offset in range(1, 4000, 2):
        progress.finish(offset)
    state = progress.to_commit()
    assert state is not None and len(state[1]) <= 4096
    again = Progress(*state)
    assert again.is_done(1) and not any(again.is_done(offset) for offset in range(0, 4000, 2))


def test_a_commit_that_failed_is_written_again() -> None:
    progress = Progress(3)
    progress.start(3)
    progress.finish(3)
    assert progress.to_commit() == (4, "") and progress.to_commit() is None
    progress.write_again()
    assert progress.to_commit() == (4, "")
