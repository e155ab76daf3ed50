"""What the log holds of a peer that guesses addresses: a few rows, and a sum that is true."""

from contracts import clock
from contracts.raw_message import Envelope, RawType, Refusal
from contracts.statuses import Direction, Reason
from ingest.smtp import log_refusals
from ingest.smtp.log_refusals import ALONE, RefusalLog


def refused(number: int, peer: str = "192.0.2.7", reply: str = "550 5.1.1 no") -> Envelope:
    return Envelope(
        mail_id=f"id-{number}",
        type=RawType.REFUSED,
        direction=Direction.INBOUND,
        received_at=clock.now(),
        envelope_from="",
        recipients=[f"guess{number}@ours.test"],
        peer_ip=peer,
        refusal=Refusal(reply=reply, reason=Reason.UNKNOWN_RECIPIENT),
    )


def told(written: list[Envelope]) -> int:
    return sum(1 + one.refusal.more for one in written if one.refusal is not None)


async def test_the_first_few_have_rows_and_the_rest_is_one_sum() -> None:
    written: list[Envelope] = []
    log = RefusalLog(written.append)
    for number in range(600):
        log.add(refused(number))
    assert len(written) == ALONE
    log.add(refused(600, peer="192.0.2.8"))
    assert len(written) == ALONE + 1, "another peer has rows of its own"
    log.add(refused(601, reply="550 5.7.1 Relaying denied"))
    log.flush()
    assert len(written) == ALONE + 3 and told(written) == 602
    assert written[-2].recipients == [f"guess{ALONE}@ours.test"] and written[-2].refusal.more == 600 - ALONE - 1  # type: ignore[union-attr]
    log.flush()
    assert told(written) == 602


async def test_many_peers_that_guess_take_bounded_memory_and_none_is_lost(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(log_refusals, "MOST", 5)
    written: list[Envelope] = []
    log = RefusalLog(written.append)
    for number in range(50 * (ALONE + 1)):
        log.add(refused(number, peer=f"192.0.2.{number % 50}"))
    assert len(log._sums) == 5 and told(written) == 50 * (ALONE + 1) - 5
    log.flush()
    assert told(written) == 50 * (ALONE + 1)
