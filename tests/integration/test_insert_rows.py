"""From a real broker into the real engine: each event once, whatever fails in between."""

import asyncio
import contextlib
import gc
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from contracts import clock
from contracts.errors import Unavailable
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType, encode_headers
from contracts.records import Record
from contracts.settings import Settings
from contracts.stages import Group
from contracts.statuses import Direction, Status
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from runtime.open_store import Store
from sinks.clickhouse.insert_rows import Inserter
from sinks.clickhouse.migrate_store import migrate_store
from tests.fakes.broker import committed, publishing, read_topic, settings_of, wait_until
from tests.fakes.mail_events import event, record

TOPICS = ("mail.events", "mail.raw", "mail.deadletter")


@pytest.fixture(scope="module")
def settings(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = settings_of(kafka.bootstrap, tmp_path_factory.mktemp("log"))
    apply_topics(made)
    return made


@pytest.fixture(scope="module")
def store(settings: Settings) -> Iterator[Store]:
    opened = Store(settings)
    migrate_store(opened, settings)
    yield opened
    opened.client.close()
    opened.forget()
    gc.collect()


class Away:
    """A store that does not answer until `back`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.back = False
        self.asked = 0

    @property
    def client(self) -> Any:
        self.asked += 1
        if not self.back:
            raise Unavailable("the log store", "for a test")
        return self._store.client

    def forget(self) -> None:
        return


@contextlib.asynccontextmanager
async def inserting(
    settings: Settings, store: Any, group: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Inserter]:
    stop = asyncio.Event()
    async with publishing(settings.kafka.bootstrap) as publisher:
        inserter = Inserter(Group(group, TOPICS), settings, store, publisher)
        running = asyncio.create_task(inserter.run(stop))
        try:
            yield inserter
        finally:
            stop.set()
            with contextlib.suppress(Unavailable, ConnectionAbortedError):
                await running


async def publish(settings: Settings, *records: Record) -> None:
    async with publishing(settings.kafka.bootstrap) as publisher:
        await publisher.publish_all(list(records))


def ask(store: Store, query: str, *mail_ids: str) -> list[tuple[Any, ...]]:
    return list(store.client.query(query, parameters={"ids": [uuid.UUID(one) for one in mail_ids]}).result_rows)


MAILS = "SELECT toString(mail_id), status, subject FROM mails FINAL WHERE mail_id IN {ids:Array(UUID)} ORDER BY subject"
EVENTS = "SELECT count() FROM events FINAL WHERE mail_id IN {ids:Array(UUID)}"


async def test_killed_before_the_commit_the_next_one_inserts_again_and_nothing_is_double(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails = [event(Status.SENT, subject=f"k{number}") for number in range(5)]
    later = [event(Status.DELIVERED, mail.mail_id, mail.mail.subject, 1) for mail in mails]
    ids = [mail.mail_id for mail in mails]
    await publish(settings, *map(record, mails), *map(record, later))

    def dies(self: Inserter, messages: object) -> None:
        raise ConnectionAbortedError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(Inserter, "_commit", dies)
        async with inserting(settings, store, "killed-sink", patched):
            await wait_until(lambda: ask(store, EVENTS, *ids) == [(10,)])
    assert committed(settings.kafka.bootstrap, "killed-sink", "mail.events").offset < 0
    async with inserting(settings, store, "killed-sink", monkeypatch):
        await wait_until(lambda: committed(settings.kafka.bootstrap, "killed-sink", "mail.events").offset >= 10)
    assert ask(store, EVENTS, *ids) == [(10,)]
    assert [row[1:] for row in ask(store, MAILS, *ids)] == [("delivered", f"k{number}") for number in range(5)]


async def test_events_that_come_in_the_wrong_order_show_the_right_status(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = event(Status.SENT, subject="order")
    events = [
        event(Status.DELIVERED, first.mail_id, "order", 2),
        event(Status.DEFERRED, first.mail_id, "order", 1),
        first,
    ]
    async with inserting(settings, store, "order", monkeypatch):
        for one in events:
            await publish(settings, record(one))
        await wait_until(lambda: ask(store, EVENTS, first.mail_id) == [(3,)])
    assert [row[1] for row in ask(store, MAILS, first.mail_id)] == ["delivered"]


async def test_while_the_store_is_away_it_waits_and_then_inserts_all(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails = [event(Status.SENT, subject=f"a{number}") for number in range(3)]
    ids = [mail.mail_id for mail in mails]
    away = Away(store)
    async with inserting(settings, away, "away", monkeypatch):
        await publish(settings, *map(record, mails[:2]))
        await wait_until(lambda: away.asked > 2)
        await publish(settings, record(mails[2]))
        assert committed(settings.kafka.bootstrap, "away", "mail.events").offset < 0
        away.back = True
        await wait_until(lambda: len(ask(store, MAILS, *ids)) == 3)
    assert [row[2] for row in ask(store, MAILS, *ids)] == ["a0", "a1", "a2"]


async def test_what_cannot_be_read_is_a_row_of_the_dead_letters_and_the_next_event_is_logged(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, wrong_id = event(Status.SENT, subject="good"), event(Status.SENT, str(uuid.uuid4()))
    junk = Record("mail.events", "junk", b"\xff\x00 nothing", [("kept", b"yes")], 0)
    await publish(settings, junk, record(wrong_id), record(good))
    query = "SELECT reason, value, headers, source_topic FROM dead_letters FINAL WHERE stage = 'sinks.clickhouse'"
    async with inserting(settings, store, "junk", monkeypatch):
        await wait_until(lambda: len(ask(store, query)) >= 2 and ask(store, MAILS, good.mail_id))
    rows = {row[0]: row[1:] for row in ask(store, query)}
    assert rows["not_a_cloudevent"][2] == "mail.events" and '"kept","yes"' in rows["not_a_cloudevent"][1].replace(
        " ", ""
    )
    assert "wrong_mail_id" in rows
    letters = [one.value() for one in read_topic(settings.kafka.bootstrap, "mail.deadletter")]
    assert junk.value in letters


async def test_a_message_can_be_downloaded_octet_for_octet(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = bytes(range(256)) * 40 + b"\r\n"
    envelope = Envelope(
        mail_id=new_mail_id(),
        type=RawType.ACCEPTED,
        direction=Direction.INBOUND,
        received_at=clock.now(),
        envelope_from="",
        recipients=["a@x.test"],
        size=len(octets),
    )
    async with inserting(settings, store, "raw", monkeypatch):
        await publish(settings, Record("mail.raw", envelope.mail_id, octets, encode_headers(envelope, "test")))
        query = "SELECT hex(content), size FROM raw FINAL WHERE mail_id IN {ids:Array(UUID)}"
        await wait_until(lambda: ask(store, query, envelope.mail_id))
    ((content, size),) = ask(store, query, envelope.mail_id)
    assert bytes.fromhex(content) == octets and size == len(octets)


async def test_a_commit_that_failed_is_not_made_again_for_a_partition_that_has_gone(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new owner may be further on: what is done would go back, and `complete_until` with it."""
    bootstrap, group = settings.kafka.bootstrap, "gone-partition"
    async with inserting(settings, store, group, monkeypatch) as inserter:
        mail = event(Status.SENT, subject="before it goes")
        await publish(settings, record(mail))
        await wait_until(lambda: ask(store, EVENTS, mail.mail_id) == [(1,)])
        inserter._failed_commits = {("mail.dispatch", 0): 3, ("mail.raw", 1): 1}
        await wait_until(lambda: committed(bootstrap, group, "mail.raw", 1).offset >= 0)
        assert committed(bootstrap, group, "mail.dispatch").offset < 0


async def test_an_idle_sink_says_where_it_reads(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client serves one caller at a time, and between two polls nobody else had a chance."""
    mail = event(Status.SENT, subject="then nothing")
    await publish(settings, record(mail))
    async with inserting(settings, store, "idle-sink", monkeypatch) as inserter:
        await wait_until(lambda: ask(store, EVENTS, mail.mail_id) == [(1,)])
        for _ in range(50):
            readings = await asyncio.wait_for(inserter._readings(), 5.0)
            await asyncio.sleep(0.02)
        assert any(place[0] == "mail.events" and reading.next > 0 for place, reading in readings.items())
