"""What a replay says of a message that was put aside."""

from contracts import clock, topics
from contracts.dead_letter import replayed_headers
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType, decode_headers, encode_headers
from contracts.statuses import Direction


def envelope(type: RawType, **fields: str) -> Envelope:
    return Envelope(
        mail_id=new_mail_id(),
        type=type,
        direction=Direction.INBOUND,
        received_at=clock.now(),
        envelope_from="a@b.test",
        recipients=["c@d.test"],
        verdict_partition=1,
        **fields,
    )


def test_the_sender_of_a_replayed_message_has_heard_250_so_a_refusal_now_is_late() -> None:
    one = envelope(RawType.ACCEPTED)
    assert (
        decode_headers(replayed_headers(topics.RAW, encode_headers(one, "test"))).answered
        == f"250 2.0.0 Accepted as {one.mail_id}"
    )


def test_what_was_answered_stays_so_and_other_records_stay_as_they_are() -> None:
    for one in (envelope(RawType.ACCEPTED, answered="250 ok"), envelope(RawType.SUBMITTED)):
        headers = encode_headers(one, "test")
        assert replayed_headers(topics.RAW, headers) == headers
    assert replayed_headers(topics.RAW, [("other", b"x")]) == [("other", b"x")]
