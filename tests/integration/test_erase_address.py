"""Erasing an address from the real engine: nothing names it afterwards, other mail keeps what is its own, and nothing comes back."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from contracts import clock
from contracts.audit import AuditAction, new_act
from contracts.codec import encode_audit_entry, encode_mail_event
from contracts.dead_letter import HEADER
from contracts.erasures import Erasure, digest_of
from contracts.errors import InvalidEvent
from contracts.events import DeadLetter
from contracts.raw_message import Blob
from contracts.records import ConsumedRecord
from contracts.statuses import BounceClass, BounceType, Direction, Status
from runtime.blobs import BlobStore
from sinks.clickhouse.build_hours import build_once
from sinks.clickhouse.erase_address import Eraser
from sinks.clickhouse.keep_erased_out import ErasedAddresses
from sinks.clickhouse.to_rows import audit_rows, dead_letter_rows, event_rows
from tests.fakes.mail_events import event
from tests.integration.console_log import Log, mail_id_at

SECRET = b"a secret of the test"
ADDRESS = "anna.k@acme.example"
BEN = "ben@acme.example"
LETTER = DeadLetter(stage="s", reason="r", detail="d", topic="mail.raw", partition=0, offset=1)
DEAD = [(HEADER, msgspec.json.encode(LETTER))]
TABLES = {
    "mails": "toString(tuple(*))",
    "events": "concat(recipient, data)",
    "recipients": "recipient",
    "raw": "content",
    "dead_letters": "value",
    "audit": "concat(recipient, detail)",
}


class Known:
    """The followed topic, in memory."""

    def __init__(self) -> None:
        self.version = 0
        self.erasures: dict[str, Erasure] = {}

    def snapshot(self) -> dict[str, Erasure]:
        return self.erasures

    def ask(self, address: str) -> Erasure:
        digest = digest_of(SECRET, address)
        self.erasures[digest] = Erasure(digest=digest, asked_at=clock.now(), by="test", address=address)
        self.version += 1
        return self.erasures[digest]


class World:
    """A log in which Anna sends, receives, and is named by others."""

    def __init__(self, folder: Path) -> None:
        self.log = Log(folder)
        self.blobs = BlobStore(self.log.settings.blobs_url)
        self.known = Known()
        self.erased = ErasedAddresses(self.known, SECRET)
        to_both = [("From", "us@example.com"), ("To", "Anna <Anna.K@acme.example>, bo@acme.example")]
        add = self.log.add
        out: dict[str, Any] = {
            "direction": Direction.OUTBOUND,
            "from_": "us@example.com",
            "message_id": "one@example.com",
        }
        self.both = add(
            ADDRESS,
            Status.SENT,
            age=timedelta(hours=3),
            raw=b"To: Anna.K@acme.example\r\n\r\nHi",
            headers=to_both,
            **out,
        )
        add("bo@acme.example", Status.SENT, mail_id=self.both, headers=to_both, **out)
        add(ADDRESS, Status.DELIVERED, mail_id=self.both, attempt=1, **out)
        self.old = add("Anna.K@acme.example", Status.DELIVERED, age=timedelta(days=4), raw=b"old", **out)
        self.sent = add(from_=ADDRESS, envelope_from=ADDRESS, raw=b"from Anna")
        self.blob = self._claim_check(self.sent)
        self.quoting = add(
            "joanna.k@acme.example", Status.DELIVERY_FAILED, attempt=1, bounce=(BounceType.HARD, BounceClass.INVALID_RECIPIENT),
            answer=f"550 no\n{ADDRESS} has left, not joanna.k@acme.example", raw=b"To: joanna.k@acme.example\r\n\r\nHi", **out,
        )  # fmt: skip
        self.other = add("carl@acme.example", Status.DELIVERED, raw=b"To: carl@acme.example\r\n\r\nHi", **out)
        act = new_act(AuditAction.SUPPRESSED, "ops", recipient=ADDRESS, detail="q=to%3Aanna.k%40acme.example")
        self.log.insert(audit_rows(ConsumedRecord("mail.audit", 0, 1, None, encode_audit_entry(act, "test"), [])))
        letter = ConsumedRecord(
            "mail.deadletter", 0, 1, b"k", f"To: {ADDRESS}".encode(), DEAD, timestamp_ms=clock.to_ms(clock.now())
        )
        self.log.insert(dead_letter_rows(letter))

    def _claim_check(self, mail_id: str) -> Blob:
        blob = asyncio.run(self.blobs.put(b"a large one from Anna"))
        self.log.add_raw(mail_id, b"a large one from Anna", blob)
        return blob

    def add_ben(self) -> str:
        """A mail to Ben and another one, one from Ben, and an answer that names him; the id of the first."""
        out: dict[str, Any] = {"direction": Direction.OUTBOUND, "from_": "us@example.com", "age": timedelta(hours=1)}
        headers = [("To", f"{BEN}, bo@acme.example")]
        both = self.log.add(BEN, Status.SENT, raw=f"To: {BEN}\r\n\r\nHi".encode(), headers=headers, **out)
        self.log.add("bo@acme.example", Status.SENT, mail_id=both, headers=headers, **out)
        self.log.add("bo@acme.example", Status.DELIVERED, mail_id=both, attempt=1, answer=f"for {BEN} as well", **out)
        self.log.add(from_=BEN, age=timedelta(days=2), raw=b"from Ben")
        return both

    def ask(self, sql: str) -> list[Any]:
        return list(self.log.store.client.query(sql).result_rows)

    def erase(self) -> Any:
        return Eraser(self.log.store, self.blobs, self.erased, self.known.ask(ADDRESS)).run()

    def names(self, address: str = ADDRESS) -> dict[str, int]:
        """In which tables the address still stands, as a word of its own."""
        pattern = r"(?i)(^|[^\\w.+-])" + address.replace(".", r"\\.")
        found = {
            table: self.ask(f"SELECT countIf(match({text}, '{pattern}')) FROM {table}")[0][0]
            for table, text in TABLES.items()
        }
        return {table: count for table, count in found.items() if count}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("log"))
    yield made
    made.log.close()


@pytest.fixture(scope="module")
def erased(world: World) -> Any:
    assert set(world.names()) == set(TABLES)
    while build_once(world.log.store):
        pass
    return world.erase()


def test_no_table_names_the_address_any_more(world: World, erased: Any) -> None:
    assert world.names() == {}
    assert (erased.mails, erased.rows, erased.blobs, erased.dead_letters, erased.audit_entries) == (3, 3, 1, 1, 1)
    assert world.ask("SELECT count() FROM system.mutations WHERE position(lower(command), 'anna') > 0")[0][0] == 0


def test_a_mail_of_several_keeps_the_others_row_without_the_message(world: World, erased: Any) -> None:
    mail = world.log.http.get(f"/api/v1/mails/{world.both}").json()
    assert [one["recipient"] for one in mail["recipients"]] == ["bo@acme.example"]
    assert {"name": "To", "value": "Anna <[erased]>, bo@acme.example"} in mail["headers"]
    answer = world.log.http.get(f"/api/v1/mails/{world.both}/raw")
    assert answer.status_code == 410 and "erased" in answer.json()["error"]["message"]
    assert world.log.http.get(f"/api/v1/mails/{world.sent}").status_code == 404
    assert world.log.http.get(f"/api/v1/mails/{world.old}").status_code == 404


def test_an_answer_that_names_it_says_erased_and_a_longer_address_stays(world: World, erased: Any) -> None:
    (row,) = world.ask(f"SELECT smtp_text, recipient FROM mails FINAL WHERE mail_id = '{world.quoting}'")
    assert row == ("550 no\n[erased] has left, not joanna.k@acme.example", "joanna.k@acme.example")
    assert world.log.http.get(f"/api/v1/mails/{world.quoting}/raw").status_code == 200
    assert world.log.http.get(f"/api/v1/mails/{world.other}/raw").status_code == 200


def test_the_hours_are_counted_anew(world: World, erased: Any) -> None:
    while build_once(world.log.store):
        pass
    sql = "SELECT sum(arraySum(mails)) FROM hours FINAL WHERE measure = 'status' AND dimension = ''"
    assert world.ask(sql) == world.ask("SELECT count() FROM mails FINAL")


def test_its_large_message_is_gone_from_the_blob_store(world: World, erased: Any) -> None:
    with pytest.raises(InvalidEvent, match="blob_missing"):
        world.blobs.get_now(world.blob)


def test_what_kafka_holds_does_not_bring_it_back_and_new_mail_is_logged(world: World, erased: Any) -> None:
    def rows(recipient: str, age: timedelta) -> Any:
        one = replace(event(Status.SENT, mail_id_at(clock.now() - age)), recipient=recipient)
        return event_rows(ConsumedRecord("mail.events", 0, 1, None, encode_mail_event(one, "test"), []), world.erased)

    assert rows("Anna.K@acme.example", timedelta(hours=1)) == []
    assert rows(ADDRESS, timedelta(seconds=-5)) != []
    assert rows("joanna.k@acme.example", timedelta(hours=1)) != []


def test_run_again_it_finds_nothing(world: World, erased: Any) -> None:
    again = world.erase()
    assert (again.mails, again.messages, again.redacted, again.dead_letters, again.audit_entries) == (0, 0, 0, 0, 0)


class Dying(Eraser):
    """Ends before it changes a table once more than it may."""

    may = 0

    def _change(self, sql: str) -> None:
        if not self.may:
            raise KeyboardInterrupt
        super()._change(sql)
        self.may -= 1


def test_killed_after_each_change_it_goes_on_where_it_was(world: World, erased: Any) -> None:
    both = world.add_ben()
    assert set(world.names(BEN)) >= {"mails", "events", "recipients", "raw"}
    asked = world.known.ask(BEN)
    done = 0
    for may in range(20):
        eraser = Dying(world.log.store, world.blobs, world.erased, asked)
        eraser.may = may
        try:
            eraser.run()
            done += 1
        except KeyboardInterrupt:
            assert not done
        assert world.ask(
            f"SELECT status FROM mails FINAL WHERE mail_id = '{both}' AND recipient = 'bo@acme.example'"
        ) == [("delivered",)], "no row of others is lost in between"
    assert 0 < done < 18 and world.names(BEN) == {}
    events = world.log.http.get(f"/api/v1/mails/{both}").json()["events"]
    assert [one["status"] for one in events] == ["sent", "delivered"]
