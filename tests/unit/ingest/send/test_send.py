"""What becomes of a mail that is handed over: signed for its author, held, and refused where it may not be sent."""

import threading
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracts.events import RecipientState
from contracts.raw_message import decode_headers
from contracts.records import Record
from contracts.settings import Settings
from contracts.statuses import Reason, Status
from ingest.send.outgoing import InvalidMail, Outgoing
from ingest.send.send import Sender, Sent, recall, to_remember
from mail.authentication.sign_dkim import load_signing_key


class Held:
    """What Kafka would hold."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def publish(self, record: Record) -> None:
        self.records.append(record)


class World:
    """A sender for ours.test and second.test, each with a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.zone: dict[str, bytes] = {}
        domains = {}
        for domain in ("ours.test", "second.test"):
            key = generate_private_key(65537, 2048)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            path = folder / f"{domain}.pem"
            path.write_bytes(pem)
            domains[domain] = {"dkim": [{"selector": "s1", "key_file": str(path)}]}
            self.zone[f"s1._domainkey.{domain}"] = load_signing_key(pem).key_record().encode()
        settings = Settings.model_validate(
            {"authserv_id": "mx.ours.test", "data_dir": str(folder), "outbound": {"domains": domains}}
        )
        self.held = Held()
        self.sender = Sender(settings, self.held)  # type: ignore[arg-type]

    async def send(self, raw: bytes, **options: Any) -> bytes:
        """The octets that are held."""
        await self.sender.send(Outgoing("desk@ours.test", ("a@x.test",), raw=raw), **options)
        return self.held.records[-1].value

    def verifies(self, octets: bytes) -> bool:
        return dkim.verify(octets, dnsfunc=lambda name, timeout=5: self.zone.get(name.decode().rstrip(".")))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("author", ["ours.test", "second.test"])
async def test_a_mail_is_signed_for_its_author_whatever_the_envelope_says(world: World, author: str) -> None:
    octets = await world.send(
        f"From: Desk <desk@{author}>\r\nX-Mailscope-Tag: t\r\nBcc: b@x.test\r\n\r\nHello\r\n".encode()
    )
    assert f"d={author};".encode() in octets and world.verifies(octets)
    assert b"b@x.test" not in octets and b"Mailscope" not in octets
    envelope = decode_headers(world.held.records[-1].headers)
    assert (envelope.envelope_from, envelope.tag, envelope.size) == ("desk@ours.test", "t", len(octets))


@pytest.mark.parametrize(
    "header",
    [
        "From: desk@bank.test",
        "From: desk@ours.test\r\nSender: desk@bank.test",
        "From: desk@ours.test\r\nResent-From: desk@bank.test",
        "From: desk@ours.test\r\nResent-Sender: desk@bank.test",
    ],
)
async def test_no_author_of_a_foreign_domain_is_sent(world: World, header: str) -> None:
    with pytest.raises(InvalidMail, match=r"bank\.test is not under outbound\.domains"):
        await world.send(f"{header}\r\n\r\nHello\r\n".encode())
    assert not world.held.records


@pytest.mark.parametrize("id", [b"MX.ours.test", b'"mx.ours.test" 1', b"(x) mx.ours.test", b"\r\n mx.ours.test"])
async def test_our_own_authentication_results_are_nobody_elses_to_write(world: World, id: bytes) -> None:
    field = b"Authentication-Results: " + id + b"; dmarc=pass\r\n"
    with pytest.raises(InvalidMail) as caught:
        await world.send(field + b"From: desk@ours.test\r\n\r\nHello\r\n")
    assert caught.value.field == "raw" and not world.held.records
    assert b"mx.other.test" in await world.send(
        field.replace(id, b"mx.other.test") + b"From: desk@ours.test\r\n\r\nHello\r\n"
    )


@pytest.mark.parametrize("id", [b"i=1; mx.ours.test", b'i=2 (;) ; "MX.ours.test" 1'])
async def test_our_own_arc_results_are_nobody_elses_to_write(world: World, id: bytes) -> None:
    field = b"ARC-Authentication-Results: " + id + b"; dmarc=pass\r\n"
    with pytest.raises(InvalidMail) as caught:
        await world.send(field + b"From: desk@ours.test\r\n\r\nHello\r\n")
    assert caught.value.field == "raw" and not world.held.records
    await world.send(field.replace(id, b"i=1; mx.other.test") + b"From: desk@ours.test\r\n\r\nHello\r\n")


async def test_building_a_mail_leaves_the_event_loop_free(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    monkeypatch.setattr("ingest.send.send.sign_dkim", lambda *_: threads.append(threading.current_thread()) or b"")
    await world.send(b"From: desk@ours.test\r\n\r\nHello\r\n")
    assert threads and threads[0] is not threading.main_thread()


async def test_a_token_of_one_domain_sends_for_no_other(world: World) -> None:
    raw = b"From: desk@second.test\r\n\r\nHello\r\n"
    with pytest.raises(InvalidMail, match=r"may not send from second\.test"):
        await world.send(raw, allowed=frozenset({"ours.test"}))
    await world.send(raw, allowed=frozenset({"ours.test", "second.test"}))


def test_the_answer_that_is_kept_is_small_and_told_again_whole() -> None:
    mail = Outgoing("desk@ours.test", tuple(f"a{n}@x.test" for n in range(999)), cc=("B <b@x.test>", "a1@x.test"))
    states = [RecipientState(recipient=f"a{n}@x.test", status=Status.SENT) for n in range(999)] + [
        RecipientState(recipient="b@x.test", status=Status.SENT)
    ]
    states[7] = RecipientState(recipient="a7@x.test", status=Status.FAILED, reason=Reason.INVALID_ADDRESS)
    sent = Sent("01a20ecb-ea51-7655-9d43-fb76f13e9259", states)
    kept = to_remember(sent)
    assert len(kept) < 200
    assert recall(kept, mail) == sent
