"""What the notes of pollers amount to, whatever was compacted away and whoever wrote too late."""

from typing import Any

from contracts import clock
from contracts.codec import HEADERS, encode_mailbox_note
from contracts.records import ConsumedRecord
from contracts.shared_state import Gap, MailboxNote, TakenMail, note_key
from ingest.mailboxes.note_taken import NoteOrder

FOLDER = ("box", 7)


class Notes:
    """A partition: writes notes and lets a reader see them, all or what compaction leaves."""

    def __init__(self, remembered: int = 100) -> None:
        self.order = NoteOrder(remembered)
        self.records: list[ConsumedRecord] = []

    def write(self, owner: str, generation: int, taken: TakenMail | None = None, **state: Any) -> None:
        note = MailboxNote(channel="desk", owner=owner, generation=generation, at=clock.now(), taken=taken, **state)
        key = note_key(note).encode()
        value = encode_mailbox_note(note, "test")
        record = ConsumedRecord("mail.mailboxes", 0, len(self.records), key, value, HEADERS)
        self.records.append(record)
        self.order.take(record)

    def compacted(self) -> NoteOrder:
        last = {record.key: record for record in self.records}
        fresh = NoteOrder()
        for record in sorted(last.values(), key=lambda one: one.offset):
            fresh.take(record)
        return fresh


def mail(uid: int, digest: str = "", validity: int = 7) -> TakenMail:
    return TakenMail(mailbox="box", uid_validity=validity, uid=uid, mail_id=f"id-{uid}", digest=digest or f"{uid:032x}")


def test_the_last_mail_alone_is_in_doubt_until_all_is_settled() -> None:
    notes = Notes()
    notes.write("a", 1, settled=True)
    assert notes.order.in_doubt("desk") is None
    notes.write("a", 1, mail(1))
    notes.write("a", 1, mail(2))
    for order in (notes.order, notes.compacted()):
        assert order.in_doubt("desk") == mail(2) and order.of("desk").last == {FOLDER: 2}
    notes.write("a", 1, settled=True)
    for order in (notes.order, notes.compacted()):
        assert order.in_doubt("desk") is None and order.of("desk").last == {FOLDER: 2}


def test_who_becomes_the_poller_knows_what_is_in_doubt() -> None:
    notes = Notes()
    notes.write("a", 1, settled=True)
    notes.write("a", 1, mail(1))
    notes.write("b", 2, settled=False)
    for order in (notes.order, notes.compacted()):
        assert order.of("desk").owner == "b" and order.in_doubt("desk") == mail(1)


def test_a_poller_that_was_superseded_takes_nothing() -> None:
    notes = Notes()
    notes.write("a", 1, settled=True)
    notes.write("b", 2, settled=True)
    notes.write("a", 1, mail(9))
    notes.write("a", 1, settled=False)
    notes.write("c", 2, settled=False)  # wrote the same generation, and stands second
    for order in (notes.order, notes.compacted()):
        assert order.of("desk").owner == "b" and order.of("desk").last == {} and order.in_doubt("desk") is None


def test_a_mail_is_known_again_under_other_uids_only() -> None:
    notes = Notes()
    notes.write("a", 1, mail(1, "ab" * 16))
    assert not notes.order.knows("desk", FOLDER, "ab" * 16)  # a copy in the same folder is another mail
    assert notes.order.knows("desk", ("box", 8), "ab" * 16)
    assert notes.order.knows("desk", ("elsewhere", 7), "ab" * 16)
    assert not notes.order.knows("other", ("box", 8), "ab" * 16)
    (key,) = notes.order.forget("desk", mail(1))
    assert not notes.order.knows("desk", ("box", 8), "ab" * 16)
    assert key == "desk box 7 1 1"


def test_memory_is_bounded_and_the_place_is_kept() -> None:
    notes = Notes(remembered=10)
    for uid in range(1, 31):
        notes.write("a", 1, mail(uid))
    old = notes.order.forget_old("desk")
    assert len(old) == 20 and old[0] == "desk box 7 1 1"
    assert notes.order.of("desk").last == {FOLDER: 30} and len(notes.order.of("desk").folders) == 10
    notes.order.take(ConsumedRecord("mail.mailboxes", 0, 99, b"desk box 7 25 1", None, []))
    assert len(notes.order.of("desk").taken) == 9


def test_a_gap_outlives_its_poller() -> None:
    notes = Notes()
    gap = Gap(state="auth_failed", since=clock.now(), first=clock.now(), detail="no")
    notes.write("a", 1, settled=True, gap=gap)
    assert notes.compacted().of("desk").gap == gap


def test_a_record_that_cannot_be_read_stands_for_nothing() -> None:
    order = NoteOrder()
    for value in (b"", b"{}", b"\xff", encode_mailbox_note(MailboxNote(
        channel="desk", owner="a", generation=1, at=clock.now(), taken=mail(1, "no digest")), "test",
    )):  # fmt: skip
        order.take(ConsumedRecord("mail.mailboxes", 0, 0, b"desk", value, HEADERS))
    assert order.of("desk").generation == 0
