"""Attacks that would have us pass mail on: through the rewritten senders of forwards, and in circles."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for

STRANGER = "127.0.0.9"  # in nobody's SPF record
PASSING = "127.0.0.13"  # in the attacker's own


@pytest.fixture(scope="module")
def rewritten(pipeline: Pipeline) -> str:
    """A rewritten sender that leads to minted@good.test, as any target of a forward sees it."""
    raw, message_id = pipeline.mail("fwd-mint@ours.test")
    assert pipeline.send(raw, "fwd-mint@ours.test", sender="minted@good.test")[0] == 250
    pipeline.settled(message_id)
    (arrived,) = pipeline.outside.partner.got(message_id.encode())
    return arrived.mail_from


@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        ("ceo@ours.test", {}),
        ("ceo@ours.test", {"Auto-Submitted": "auto-replied"}),  # dressed up as an answer
        ("postmaster@ours.test", {}),
        ("friend@elsewhere.test", {}),
    ],
)
def test_a_rewritten_sender_is_no_relay_for_mail_that_is_no_report(
    pipeline: Pipeline, rewritten: str, sender: str, headers: dict[str, str]
) -> None:
    raw, message_id = pipeline.mail(rewritten, "the invoice", sender=sender, sign=False, headers=headers)
    code, text = pipeline.send(raw, rewritten, sender="", source=STRANGER)
    (row,) = pipeline.settled(message_id)
    assert (code, row["status"]) == (550, "rejected"), text
    assert not pipeline.outside.good.got(message_id.encode())


@pytest.mark.parametrize(
    "fields",
    [
        b"From: CEO of ours.test <x@lookalike.test>\r\n",
        b'From: "ceo@ours.test" <x@lookalike.test>\r\n',
        b"From: =?utf-8?q?ceo=40ours=2Etest?= <x@lookalike.test>\r\n",
        b"From: x@lookalike.test\r\nSender: ceo@ours.test\r\n",
        b"From: x@lookalike.test\r\nReply-To: Boss <ceo@ours.test>\r\n",
        b"From: x@lookalike.test\r\nReply-To: ceo@second.test\r\n",  # ours, too
    ],
    ids=repr,
)
def test_dmarc_of_another_domain_does_not_answer_for_our_name(
    pipeline: Pipeline, rewritten: str, fields: bytes
) -> None:
    pipeline.outside.zones.records["lookalike.test"] = {"TXT": [f"v=spf1 ip4:{PASSING} -all"]}
    pipeline.outside.zones.records["_dmarc.lookalike.test"] = {"TXT": ["v=DMARC1; p=reject"]}
    pipeline.outside.zones.records["mx.lookalike.test"] = {"TXT": [f"v=spf1 ip4:{PASSING} -all"]}
    _, message_id = pipeline.mail()
    raw = fields + f"Message-ID: <{message_id}>\r\nAuto-Submitted: auto-replied\r\n\r\nx\r\n".encode()
    with pipeline.smtp(PASSING) as connection:
        connection.ehlo("mx.lookalike.test")
        connection.mail("")
        connection.rcpt(rewritten)
        code, text = connection.data(raw)
    (row,) = pipeline.settled(message_id)
    assert (code, row["status"], row["dmarc"]) == (550, "rejected", "pass"), text
    assert not pipeline.outside.good.got(message_id.encode())


def test_an_automatic_answer_is_passed_on_but_not_without_end(pipeline: Pipeline, rewritten: str) -> None:
    answer, message_id = pipeline.mail(
        rewritten, "I am away", sender="team@partner.test", sign=False, headers={"Auto-Submitted": "auto-replied"}
    )
    assert pipeline.send(answer, rewritten, sender="", source="127.0.0.12")[0] == 250
    assert pipeline.settled(message_id)[0]["status"] == "forwarded"
    replies = []
    for number in range(60):  # from peers that have nothing to do with each other
        with pipeline.smtp(f"127.0.2.{number + 1}") as connection:
            connection.ehlo()
            connection.mail("")
            replies.append(connection.rcpt(rewritten)[0])
    assert set(replies) == {250, 451} and replies[-1] == 451


def circle_settings(ours: str, theirs: str, port: int) -> dict[str, Any]:
    """A pipeline that forwards round@ours to round@theirs, and everything by way of the other one."""
    return {
        "authserv_id": f"mx.{ours}",
        "inbound": {
            "domains": {ours: {"reject_on": []}},
            "routes": [{"match": {"to": f"round@{ours}"}, "forward": [f"Round@{theirs.upper()}"]}],
        },
        "delivery": {"smarthost": f"127.0.0.1:{port}", "allow_private": True, "retry": ["1s"], "expire": "20s"},
    }


@pytest.fixture
def circle(tmp_path: Path) -> Iterator[tuple[Pipeline, Pipeline]]:
    """Two pipelines, each of which forwards to the other."""
    running = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        running.append(Pipeline(tmp_path / name))
    one, two = running
    one._write_settings(circle_settings("one.test", "two.test", two.base + 25))
    two._write_settings(circle_settings("two.test", "one.test", one.base + 25))
    try:
        yield one.start(), two.start()
    finally:
        for pipeline in running:
            pipeline.close()


def test_two_pipelines_that_forward_to_each_other_see_the_circle(circle: tuple[Pipeline, Pipeline]) -> None:
    one, two = circle
    raw, message_id = one.mail("round@one.test")
    assert one.send(raw, "round@one.test")[0] == 250

    def rows() -> list[tuple[str, str, str]]:
        """What both logs hold of this mail, and of the reports about it."""
        found = [(name, row) for name, log in (("one", one), ("two", two)) for row in log.get("/mails").json()["items"]]
        return [(name, row["status"], row["reason"] or "") for name, row in found if row["terminal"]]

    def is_seen() -> bool:
        return any(reason == "loop" for _, _, reason in rows())

    assert wait_for(is_seen, 40), rows()
    assert wait_for(lambda: all(row["terminal"] for log in circle for row in log.get("/mails").json()["items"]), 60)
    seen: list[int] = []
    for _ in range(5):  # it stays at that
        seen.append(len(rows()))
        wait_for(lambda: False, 2)
    assert seen[0] == seen[-1] <= 6, rows()
    print(rows())
    refused = [row for row in one.rows(message_id) if row["reason"] == "loop"]
    assert [(row["status"], row["recipient"].lower()) for row in refused] == [("rejected", "round@one.test")]
    assert [row["status"] for row in two.rows(message_id)] == ["delivery_failed"]
