import io
import re

from local.log_lines import LONGEST, LineSplitter, LineWriter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_come_whole_however_the_bytes_arrive() -> None:
    splitter = LineSplitter()
    assert splitter.feed("grü".encode()[:3]) == []
    assert splitter.feed("grü".encode()[3:] + b"\r\nsecond\nthi") == ["grü", "second"]
    assert splitter.rest() == ["thi"]
    assert splitter.rest() == []


def test_an_endless_line_is_split_and_nothing_of_it_is_lost() -> None:
    splitter = LineSplitter()
    lines = splitter.feed(b"x" * (LONGEST * 3 + 5)) + splitter.rest()
    assert "".join(lines) == "x" * (LONGEST * 3 + 5)
    assert max(map(len, lines)) <= LONGEST


def test_what_a_stranger_sent_cannot_drive_the_terminal() -> None:
    out = Terminal()
    LineWriter(out, environ={"NO_COLOR": "1"}).write("smtp", "HELO \x1b[2Jevil\u202e grüße")
    assert out.getvalue().endswith("HELO \\x1b[2Jevil\\u202e grüße\n")


def test_a_line_keeps_its_own_time_and_shows_it_once() -> None:
    out = io.StringIO()
    LineWriter(out, width=4).write("smtp", "2026-11-03T12:00:00.250Z INFO mailscope.smtp listening")
    LineWriter(out, width=4).write("smtp", "\x08\x1b[?25h2026-11-03T12:00:00.250Z INFO mailscope.smtp listening")
    assert out.getvalue() == "2026-11-03T12:00:00.250Z smtp INFO mailscope.smtp listening\n" * 2


def test_no_colour_in_a_file() -> None:
    out = io.StringIO()
    LineWriter(out, width=8).write("kafka", "up")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z kafka    up\n", out.getvalue())


def test_each_stage_has_its_colour_on_a_terminal() -> None:
    out = Terminal()
    writer = LineWriter(out, environ={})
    writer.write("kafka", "up")
    writer.write("inbound", "up")
    colours = re.findall(r"\x1b\[(\d+)m\w", out.getvalue())
    assert len(set(colours)) == 2


def test_no_color_is_respected() -> None:
    out = Terminal()
    LineWriter(out, environ={"NO_COLOR": "1"}).write("kafka", "up")
    assert "\x1b" not in out.getvalue()


def test_a_closed_terminal_stops_nothing() -> None:
    out = io.StringIO()
    writer = LineWriter(out)
    out.close()
    writer.write("kafka", "still running")
