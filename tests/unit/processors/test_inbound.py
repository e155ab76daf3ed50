"""The app `inbound`: what it knows of one record when another one comes."""

from datetime import timedelta
from pathlib import Path

import pytest

from contracts import clock
from contracts.errors import Unavailable
from contracts.events import MailEvent
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType, encode_headers
from contracts.records import ConsumedRecord
from contracts.settings import Settings
from contracts.statuses import Direction
from processors.inbound import UNDECIDED, Inbound
from processors.recall_decisions import Decisions


def word_of_the_receiver(age: timedelta = timedelta(0)) -> ConsumedRecord:
    mail_id = new_mail_id()
    envelope = Envelope(
        mail_id=mail_id,
        type=RawType.ANSWERED,
        direction=Direction.INBOUND,
        received_at=clock.now() - age,
        envelope_from="",
        recipients=[],
        answered=f"250 2.0.0 Accepted as {mail_id}",
    )
    return ConsumedRecord("mail.raw", 0, 7, mail_id.encode(), b"", encode_headers(envelope, "test"))


@pytest.fixture
def inbound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbound:
    async def nothing(*_: object) -> list[MailEvent]:
        return []

    monkeypatch.setattr(Decisions, "look_up", nothing)
    return Inbound(Settings.model_validate({"data_dir": str(tmp_path), "kafka": {"bootstrap": "127.0.0.1:1"}}))


async def test_the_receivers_word_waits_for_the_decision_that_it_is_about(inbound: Inbound) -> None:
    with pytest.raises(Unavailable):  # its mail waits for the blob store: a refusal is still to come, and will be late
        await inbound.handle(word_of_the_receiver())


async def test_the_receivers_word_does_not_wait_for_ever(inbound: Inbound) -> None:
    assert not any(await inbound.handle(word_of_the_receiver(UNDECIDED)))
