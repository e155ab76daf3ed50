"""One poller and a server that says what the test wants: what is done in which order, and what trouble costs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from contracts import clock
from contracts.errors import Unavailable
from contracts.raw_message import Envelope, RawType
from contracts.settings import Settings
from contracts.shared_state import Gap, MailboxNote, TakenMail
from contracts.statuses import Reason
from ingest.mailboxes import poll_mailbox
from ingest.mailboxes.note_taken import Folder, NoteOrder, Superseded, _apply
from ingest.mailboxes.poll_mailbox import MailboxPoller
from runtime.budget_octets import OctetBudget
from tests.fakes.broker import wait_until
from tests.fakes.scripted_imap import Line, ScriptedImap


class Notes:
    """`TakenMails` without a broker: one poller, or another one that supersedes it."""

    def __init__(self, did: list[str]) -> None:
        self.order, self.did, self.superseded = NoteOrder(), did, False
        self._count = 0

    async def own(self, channel: str) -> None:
        self._write(settled=self.order.of(channel).settled)

    def last_uid(self, channel: str, folder: Folder) -> int:
        return self.order.of(channel).last.get(folder, 0)

    def in_doubt(self, channel: str) -> TakenMail | None:
        return self.order.in_doubt(channel)

    def knows(self, channel: str, folder: Folder, digest: str) -> bool:
        return self.order.knows(channel, folder, digest)

    def gap(self, channel: str) -> Gap | None:
        return self.order.of(channel).gap

    async def take(self, channel: str, mail: TakenMail) -> None:
        if self.superseded:
            raise Superseded(channel)
        self.did.append(f"note {mail.uid}")
        self._write(taken=mail)

    async def forget(self, channel: str, mail: TakenMail) -> None:
        self.order.forget(channel, mail)

    async def settle(self, channel: str) -> None:
        self._write(settled=True, gap=self.gap(channel))

    async def note_gap(self, channel: str, gap: Gap | None) -> None:
        if self.superseded:
            raise Superseded(channel)
        self._write(settled=self.order.of(channel).settled, gap=gap)

    def _write(self, **what: Any) -> None:
        note = MailboxNote(channel="box", owner="me", generation=1, at=clock.now(), **what)
        self._count += 1
        digest = bytes.fromhex(note.taken.digest) if note.taken else b""
        _apply(self.order.of("box"), f"key {self._count}", note, digest)


class Holder:
    """`MessageHolder` without a broker. `fails`: how many writes are not acknowledged."""

    def __init__(self, did: list[str]) -> None:
        self.did, self.held, self.fails = did, [], 0
        self.told: list[str] = []
        self.publisher = SimpleNamespace(publish=self._tell)
        self.held: list[tuple[Envelope, bytes]] = []

    async def _tell(self, record: Any) -> None:
        self.told.append(msgspec.json.decode(record.value)["data"]["state"])

    async def hold(self, envelope: Envelope, message: bytes) -> None:
        if self.fails:
            self.fails -= 1
            raise Unavailable("Kafka", "away")
        self.did.append("hold")
        self.held.append((envelope, message))


class World:
    def __init__(self, folder: Path) -> None:
        self.server = ScriptedImap()
        self.did: list[str] = []
        self.notes, self.holder = Notes(self.did), Holder(self.did)
        self.password = folder / "password"
        self.password.write_text("correct horse\n")
        self.settings = Settings.model_validate(
            {
                "data_dir": str(folder),
                "smtp": {"max_size": 20_000},
                "channels": {
                    "box": {
                        "imap": f"imap://app@127.0.0.1:{self.server.port}",
                        "password_file": str(self.password),
                        "poll": "50ms",
                    }
                },
            }
        )
        self.mails: dict[int, bytes] = {5: b"Message-ID: <5@x>\r\n\r\nfive"}
        self.server.on("^CAPABILITY", b"* CAPABILITY IMAP4rev1\r\n").on("UID SEARCH", self._search)
        self.server.on("UID FETCH", self._fetch).on("UID STORE", self._store)

    def _search(self, line: Line) -> bytes:
        return line.ok(b"* SEARCH " + b" ".join(b"%d" % uid for uid in self.mails) + b"\r\n")

    def _fetch(self, line: Line) -> bytes:
        uid = int(line.text.split()[2])
        mail = self.mails.get(uid)
        if mail is None:
            return line.ok()
        if "BODY" not in line.text:
            date = b'INTERNALDATE "03-Nov-2026 12:22:54 +0000"'
            return line.ok(b"* 1 FETCH (UID %d RFC822.SIZE %d %s)\r\n" % (uid, len(mail), date))
        return line.ok(b"* 1 FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (uid, len(mail), mail))

    def _store(self, line: Line) -> bytes:
        self.did.append(f"flag {line.text.split()[2]}")
        return line.ok()

    @contextlib.asynccontextmanager
    async def polling(self) -> AsyncIterator[MailboxPoller]:
        poller = MailboxPoller(
            "box", self.settings.channels["box"], self.settings, self.holder, self.notes, OctetBudget(64 << 20)  # type: ignore[arg-type]
        )  # fmt: skip
        task = asyncio.ensure_future(poller.run())
        try:
            yield poller
        finally:
            poller.stop()
            await asyncio.wait_for(task, 20)

    @property
    def uids(self) -> list[bytes]:
        return [message for _, message in self.holder.held]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(poll_mailbox, "AGAIN", (0.05, 0.1))
    monkeypatch.setattr(poll_mailbox, "AT_LEAST", 0.02)
    made = World(tmp_path)
    yield made
    made.server.stop()


async def test_a_mail_is_noted_then_held_then_flagged(world: World) -> None:
    async with world.polling():
        await wait_until(lambda: "flag 5" in world.did)
        world.mails[6] = b"Message-ID: <6@x>\r\n\r\nsix"
        await wait_until(lambda: "flag 6" in world.did)
    assert world.did == ["note 5", "hold", "flag 5", "note 6", "hold", "flag 6"]
    (envelope, message), _ = world.holder.held
    assert message == world.mails[5] and envelope.channel == "box" and not envelope.repeated
    assert envelope.recipients == ["app@127.0.0.1"] and world.holder.told == ["connected"]


async def test_nothing_is_flagged_before_it_is_acknowledged_and_it_is_the_same_mail_then(world: World) -> None:
    world.holder.fails = 3
    async with world.polling():
        await wait_until(lambda: "flag 5" in world.did)
    assert world.did == ["note 5", "hold", "flag 5"]
    ((envelope, _),) = world.holder.held
    assert envelope.repeated and envelope.mail_id == world.notes.order.of("box").latest.mail_id  # type: ignore[union-attr]


async def test_what_was_held_and_not_flagged_is_flagged_by_the_next_connection(world: World) -> None:
    hang_up = iter((True,))
    world.server.on("UID STORE", lambda line: None if next(hang_up, False) else world._store(line))
    async with world.polling():
        await wait_until(lambda: "flag 5" in world.did)
    assert world.did == ["note 5", "hold", "flag 5"]


async def test_who_was_superseded_stops(world: World) -> None:
    world.notes.superseded = True
    async with world.polling():
        await wait_until(lambda: any("FETCH" in one for one in world.server.heard))
        await asyncio.sleep(0.2)
    assert world.did == [] and len([one for one in world.server.heard if "SELECT" in one]) == 1


async def test_who_was_superseded_in_a_gap_looks_again_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll_mailbox, "RECLAIM", 0.1)
    world.notes.superseded = True
    world.server.on("UID SEARCH", lambda line: None)
    async with world.polling():
        await wait_until(lambda: len([one for one in world.server.heard if "SELECT" in one]) > 2)
        world.server.on("UID SEARCH", world._search)
        world.notes.superseded = False
        await wait_until(lambda: "flag 5" in world.did)
    assert world.did == ["note 5", "hold", "flag 5"]


async def test_a_mail_that_the_server_does_not_give_is_told_and_passed_by(world: World) -> None:
    world.mails |= {6: b"Message-ID: <6@x>\r\n\r\nsix", 7: b"Message-ID: <7@x>\r\n\r\nseven"}
    world.server.on(r"FETCH 6 \(BODY", lambda line: line.tag + b" NO it is broken\r\n")
    async with world.polling():
        await wait_until(lambda: "flag 7" in world.did)
    kinds = [(envelope.type, message[-4:]) for envelope, message in world.holder.held]
    assert kinds == [(RawType.ACCEPTED, b"five"), (RawType.REFUSED, b""), (RawType.ACCEPTED, b"even")]
    refusal = world.holder.held[1][0].refusal
    assert refusal is not None and "UID 6" in refusal.reply and "it is broken" in refusal.reply
    assert "flag 6" not in world.did


@pytest.mark.parametrize("claimed", [None, 100])
async def test_a_mail_that_is_too_large_is_told_and_stays(world: World, claimed: int | None) -> None:
    world.mails = {5: b"Message-ID: <5@x>\r\n\r\n" + b"x" * 30_000, 6: b"Message-ID: <6@x>\r\n\r\nsix"}
    if claimed is not None:  # the server says that it is small
        world.server.on(r"FETCH 5 \(RFC822", b"* 1 FETCH (UID 5 RFC822.SIZE %d)\r\n" % claimed)
    async with world.polling():
        await wait_until(lambda: "flag 6" in world.did)
    (first, octets), (_, second) = world.holder.held
    assert first.refusal is not None and first.refusal.reason is Reason.MESSAGE_TOO_LARGE and octets == b""
    assert second == world.mails[6] and "flag 5" not in world.did


async def test_a_mail_that_goes_while_it_is_taken_is_no_trouble(world: World) -> None:
    world.mails[6] = b"Message-ID: <6@x>\r\n\r\nsix"
    world.server.on(r"FETCH 5 \(BODY", b"")
    async with world.polling():
        await wait_until(lambda: "flag 6" in world.did)
    assert world.uids == [world.mails[6]] and world.holder.told == ["connected"]


async def test_other_uids_bring_no_mail_again(world: World) -> None:
    world.mails[6] = b"Message-ID: <6@x>\r\n\r\nsix"
    async with world.polling():
        await wait_until(lambda: "flag 6" in world.did)
    world.server.on("SELECT", b"* 3 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\n* OK [UIDNEXT 4] ok\r\n")
    world.mails = {1: world.mails[6], 2: world.mails[5], 3: b"Message-ID: <new@x>\r\n\r\nnew"}
    async with world.polling():
        await wait_until(lambda: "flag 3" in world.did)
    assert [octets[-3:] for octets in world.uids] == [b"ive", b"six", b"new"]
    assert world.did.count("flag 1") == 1  # and what was known is flagged as well


async def test_a_mail_in_doubt_is_not_known_under_other_uids(world: World) -> None:
    world.holder.fails = 1_000_000
    async with world.polling():
        await wait_until(lambda: "note 5" in world.did)
    world.holder.fails = 0
    doubtful = world.notes.in_doubt("box")
    assert doubtful is not None
    world.server.on("SELECT", b"* 1 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\n* OK [UIDNEXT 2] ok\r\n")
    world.mails = {1: world.mails[5]}
    async with world.polling():
        await wait_until(lambda: "flag 1" in world.did)
    ((envelope, _),) = world.holder.held
    assert envelope.mail_id == doubtful.mail_id and envelope.repeated


async def test_a_wrong_password_is_tried_once_and_again_when_its_file_changes(world: World) -> None:
    world.server.on("LOGIN", lambda line: line.ok() if "right" in line.text else line.tag + b" NO wrong\r\n")
    async with world.polling():
        await wait_until(lambda: world.holder.told)
        await asyncio.sleep(1.0)
        assert len([one for one in world.server.heard if "LOGIN" in one]) == 1
        world.password.write_text("the right one\n")
        await wait_until(lambda: "flag 5" in world.did)
    assert world.holder.told[:3] == ["auth_failed", "auth_failed", "recovered"]  # its beginning, and its end


async def test_a_silent_server_is_left_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll_mailbox, "COMMAND", 0.3)
    silent = iter((True, True))
    world.server.on("UID SEARCH", lambda line: b"" if next(silent, False) else world._search(line))
    async with world.polling():
        await wait_until(lambda: "flag 5" in world.did)
    assert world.holder.told[0] == "connected" and "connection_dropped" in world.holder.told
    assert len(world.holder.held) == 1


async def test_a_server_that_hangs_up_over_one_mail_again_and_again_does_not_hold_up_the_others(world: World) -> None:
    world.mails[6] = b"Message-ID: <6@x>\r\n\r\nsix"
    world.server.on(r"FETCH 5 \(BODY", lambda line: None)
    async with world.polling():
        await wait_until(lambda: "flag 6" in world.did)
    assert [envelope.type for envelope, _ in world.holder.held] == [RawType.REFUSED, RawType.ACCEPTED]
    assert len([one for one in world.server.heard if "FETCH 5 (BODY" in one]) == poll_mailbox.DROPS
