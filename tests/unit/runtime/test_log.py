"""What other people's clients say again and again is written once in a while, and what differs is written."""

import io
import logging

import pytest

from runtime.log import printable, set_up_logging


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    out = io.StringIO()
    before = logging.root.handlers[:], logging.root.level
    monkeypatch.setattr("sys.stderr", out)
    set_up_logging()
    yield out
    logging.root.handlers[:], logging.root.level = before


def test_a_broker_that_is_away_does_not_fill_the_log(said: io.StringIO) -> None:
    for number in range(500):
        logging.getLogger("aiokafka.conn").error("Unable to connect to %s", f"127.0.0.1:{number}")
        logging.getLogger("mailscope.x").error("ours %d", number)
    logging.getLogger("aiokafka.conn").error("another thing")
    lines = said.getvalue().splitlines()
    assert sum("Unable to connect" in line for line in lines) == 1
    assert sum("another thing" in line for line in lines) == 1
    assert sum("ours" in line for line in lines) == 500


def test_line_breaks_and_escapes_of_strangers_stay_on_one_line(said: io.StringIO) -> None:
    logging.getLogger("mailscope.x").warning("HELO %s", "a\r\n2026 FORGED \x1b[31m\u202e")
    assert len(said.getvalue().splitlines()) == 1 and "\x1b" not in said.getvalue()
    assert printable("a\nb") == "a\\nb"
