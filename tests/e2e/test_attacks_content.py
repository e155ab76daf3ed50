"""Attacks by what a message holds: parts that swell when they are read, HTML that would tell its sender who reads it."""

import time

import pytest

from tests.e2e.measure_memory import IS_KNOWN, MEGABYTE, forget_peak, peak
from tests.e2e.pipeline import Pipeline


@pytest.mark.skipif(not IS_KNOWN, reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("x-uuencode", b"begin 644 x\r\n" + b"\r\n" * (4 * MEGABYTE)),  # lines of nothing, each an object
        ("x-uuencode", b"begin 644 x\r\n" + b"~\r\n" * (3 * MEGABYTE)),  # lines that all fail
        ("base64", b"AAAAA" + b"!A" * (4 * MEGABYTE)),  # every other digit is none
        ("7bit", b"--x\r\n" * (2 * MEGABYTE)),  # lines that may be delimiters
    ],
    ids=["uu empty", "uu damaged", "base64 foreign", "delimiters"],
)
def test_content_that_swells_costs_a_reader_little(pipeline: Pipeline, encoding: str, content: bytes) -> None:
    """The handler's sink and the console's page take it apart: 8 MB took 770 MB in each, 45 MB a minute."""
    _, message_id = pipeline.mail()
    head = f"From: a@plain.test\r\nMessage-ID: <{message_id}>\r\nContent-Type: application/x\r\n"
    raw = f"{head}Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + content
    pids = [pipeline.stage_pid(stage) for stage in ("handlers", "console")]
    before = [forget_peak(pid) for pid in pids]
    assert pipeline.send(raw, "desk@ours.test", sender="a@plain.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    assert row["status"] == "processed"
    began = time.monotonic()
    assert pipeline.page(f"/mails/{row['mail_id']}").status_code == 200
    seconds = time.monotonic() - began
    grown = [peak(pid) - were for pid, were in zip(pids, before, strict=True)]
    print(f"{encoding}: {[one // MEGABYTE for one in grown]} MB more, the page took {seconds:.1f} s")
    assert max(grown) < 200 * MEGABYTE


def test_a_key_that_cannot_be_stored_loses_no_mail(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="odd key")
    assert pipeline.send(raw, "desk@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["reference"]) == ("processed", "IT-?  7")
