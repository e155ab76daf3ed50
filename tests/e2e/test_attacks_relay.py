"""Attacks that would have us pass mail on: through the rewritten senders of forwards, and in circles."""

import pytest

from tests.e2e.pipeline import Pipeline

STRANGER = "127.0.0.9"  # in nobody's SPF record


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
