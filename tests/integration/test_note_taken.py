"""Two pollers of one mailbox, on a real broker: the one that was superseded takes nothing more."""

import pytest

from contracts.shared_state import TakenMail
from ingest.mailboxes.note_taken import Superseded, TakenMails
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from tests.fakes.broker import publishing, settings_of

FOLDER = ("box", 7)


def mail(uid: int) -> TakenMail:
    return TakenMail(mailbox="box", uid_validity=7, uid=uid, mail_id=f"id-{uid}", digest=f"{uid:032x}")


async def test_who_was_superseded_takes_nothing_and_the_other_knows_what_is_in_doubt(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = settings_of(kafka.bootstrap, tmp_path_factory.mktemp("notes"))
    apply_topics(settings)
    async with publishing(kafka.bootstrap) as publisher:
        one, other = (TakenMails(settings.kafka_client, publisher, name) for name in ("one", "other"))
        await one.own("desk")
        await one.take("desk", mail(1))
        await one.settle("desk")
        await one.take("desk", mail(2))
        await other.own("desk")
        assert other.in_doubt("desk") == mail(2) and other.last_uid("desk", FOLDER) == 2
        with pytest.raises(Superseded):
            await one.take("desk", mail(3))
        with pytest.raises(Superseded):
            await one.settle("desk")
        await other.take("desk", mail(3))
        fresh = TakenMails(settings.kafka_client, publisher, "one")
        await fresh.own("desk")
        assert fresh.in_doubt("desk") == mail(3) and fresh.last_uid("desk", FOLDER) == 3
        await fresh.settle("desk")
        assert fresh.in_doubt("desk") is None
        for notes in (one, other, fresh):
            await notes.close()
