"""A log file as it grows, is rotated, cut short, and left in the middle of a line."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.attempts.follow_file import LONGEST, FollowedFile, Place

Follow = Callable[[Path, Place], FollowedFile]


@pytest.fixture
def follow() -> Iterator[Follow]:
    opened: list[FollowedFile] = []

    def begin(path: Path, place: Place) -> FollowedFile:
        opened.append(FollowedFile(path, place))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def every(follower: FollowedFile) -> list[str]:
    found: list[str] = []
    for _ in range(6):
        found += follower.read()
    return found


def test_lines_come_whole_and_once(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "mail.log"
    follower = follow(log, Place())
    assert every(follower) == []  # it is not there yet
    log.write_text("one\ntw")
    assert every(follower) == ["one"]
    with log.open("a") as file:
        file.write("o\nthree\n")
    assert every(follower) == ["two", "three"]
    assert follow(log, follower.place).read() == []


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "mail.log"
    log.write_text("one\n")
    follower = follow(log, Place())
    assert every(follower) == ["one"]
    log.rename(tmp_path / "mail.log.1")
    with (tmp_path / "mail.log.1").open("a") as file:
        file.write("two\n")
    log.write_text("three\n")
    assert every(follower) == ["two", "three"]


def test_a_rotation_while_nobody_followed_loses_nothing(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "mail.log"
    log.write_text("one\ntwo\n")
    follower = follow(log, Place())
    place = Place(log.stat().st_ino, 4)
    follower.close()
    log.rename(tmp_path / "mail.log.1")
    log.write_text("three\n")
    assert every(follow(log, place)) == ["two", "three"]
    (tmp_path / "mail.log.1").unlink()  # nor does one whose file is gone fail
    assert every(follow(log, place)) == ["three"]


def test_a_file_that_was_cut_short_begins_anew(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "mail.log"
    log.write_text("a long line\nanother\n")
    follower = follow(log, Place())
    assert len(every(follower)) == 2
    log.write_text("new\n")
    assert every(follower) == ["new"]


def test_a_line_without_end_is_passed_over_in_bounded_memory(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(b"x" * (5 * LONGEST) + b"\nnext\n" + b"\xff\xfe\n")
    follower = follow(log, Place())
    assert every(follower) == ["next", "\ufffd\ufffd"]
    log.write_bytes(b"y" * (40 << 20))
    assert every(follow(log, Place())) == []


def aged(path: Path, text: str, seconds: int) -> Path:
    path.write_text(text)
    os.utime(path, (seconds, seconds))
    return path


def test_two_rotations_while_nobody_followed_lose_nothing(tmp_path: Path, follow: Follow) -> None:
    log, first, second = (tmp_path / name for name in ("mail.log", "mail.log.2", "mail.log.1"))
    place = Place(aged(first, "one\ntwo\n", 1000).stat().st_ino, 4)
    aged(tmp_path / "mail.log.3", "long ago\n", 500)
    aged(tmp_path / "mail.log.4.gz", "packed\n", 3000)
    aged(second, "three\n", 2000)
    log.write_text("four\n")
    assert every(follow(log, place)) == ["two", "three", "four"]
    first.unlink()
    (tmp_path / "mail.log.3").unlink()
    assert every(follow(log, place)) == ["three", "four"]


def test_who_writes_on_into_the_renamed_file_is_read(tmp_path: Path, follow: Follow) -> None:
    """logrotate makes the new file first, and tells the writer afterwards."""
    log = tmp_path / "mail.log"
    log.write_text("one\n")
    follower = follow(log, Place())
    assert every(follower) == ["one"]
    log.rename(tmp_path / "mail.log.1")
    log.touch()
    assert every(follower) == []
    with (tmp_path / "mail.log.1").open("a") as file:
        file.write("two\n")
    assert every(follower) == ["two"]
    log.write_text("three\n")
    assert every(follower) == ["three"]


def test_one_look_goes_on_to_the_new_file(tmp_path: Path, follow: Follow) -> None:
    """`--once` ends at the first look that finds nothing, and remembers nothing of it."""
    log = tmp_path / "mail.log"
    log.write_text("one\n")
    place = Place(log.stat().st_ino, 4)
    log.rename(tmp_path / "mail.log.1")
    log.write_text("two\n")
    assert follow(log, place).read() == ["two"]
