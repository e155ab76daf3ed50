"""Where a server offers PIPELINING (RFC 2920), a transaction goes in one write, and each answer is still that of its command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.events import Attempt
from contracts.settings import Settings
from ingest.smtp.serve_tls import tls_context
from sinks.delivery.attempt_smtp import MOST_AHEAD, SmtpTransaction
from sinks.delivery.find_servers import Server
from sinks.delivery.open_session import Identity, to_wire
from sinks.delivery.read_replies import Replies
from sinks.delivery.try_servers import SmtpClient
from tests.fakes.scripted_smtp import HANG_UP, SILENCE, Says, Scripted, remote

CONTENT = b"Subject: x\r\n\r\n.hello\r\n"
OFFERS = ("PIPELINING", "8BITMIME")


@asynccontextmanager
async def pipelining(says: Says | None = None, *, piece: int = 0) -> AsyncIterator[tuple[Scripted, Server, SmtpClient]]:
    """A server that answers MAIL and RCPT only with the answer to DATA, and a client."""
    client = SmtpClient(Identity("mx.ours.test", 5.0, None), 30.0)
    async with remote(says, extensions=OFFERS, holds=True, piece=piece) as (script, server):
        yield script, server, client
        client.sessions.close()


async def send(client: SmtpClient, server: Server, *names: str) -> list[Attempt]:
    async def read() -> bytes:
        return to_wire(CONTENT)

    recipients = tuple(f"{name}@x.test" for name in names)
    transaction = SmtpTransaction("b+1@ours.test", recipients, len(CONTENT), read, False)
    return await client.try_servers([server], transaction, 1, lambda: None)


def told(attempts: list[Attempt]) -> list[tuple[str, str, int]]:
    return [(one.outcome.value, one.command, one.code) for one in attempts]


@pytest.mark.parametrize("piece", [0, 1, 7])
async def test_everything_before_the_content_goes_in_one_write_however_the_answers_come(piece: int) -> None:
    """The server answers nothing before it has heard DATA."""
    async with pipelining({"MAIL": "250-2.1.0 well\r\n250-then\r\n250 go on"}, piece=piece) as (script, server, client):
        for _ in range(3):
            (done,) = await send(client, server, "a")
            assert (done.outcome, done.code, done.text) == ("accepted", 250, "2.0.0 queued as 7")
            assert script.content == CONTENT.replace(b".hello", b"..hello") + b".\r\n"
    assert script.connections == 1


async def test_each_recipient_has_the_answer_to_its_own_command() -> None:
    says = {"RCPT b@x.test": "550 5.1.1 unknown", "RCPT c@x.test": "452 4.2.2 full", "RCPT d@x.test": "252 will try"}
    async with pipelining(says) as (script, server, client):
        done = await send(client, server, "a", "b", "c", "d")
    accepted = ("accepted", "DATA", 250)
    assert told(done) == [accepted, ("permanent", "RCPT", 550), ("temporary", "RCPT", 452), accepted]
    assert script.content


@pytest.mark.parametrize("data", ["503 5.5.1 no valid recipients", "354 go on"])
async def test_where_no_recipient_is_left_no_content_leaves_and_the_session_goes_on(data: str) -> None:
    """A server that asks for content without a recipient gets none, and what it says to that is no answer to anybody."""
    says = {"RCPT a@x.test": "550 5.1.1 unknown", "DATA": [data], "END": ["250 2.0.0 nothing came"]}
    async with pipelining(says) as (script, server, client):
        assert told(await send(client, server, "a")) == [("permanent", "RCPT", 550)]
        assert script.content in (b"", b".\r\n") and script.heard[-1] == "RSET"
        assert told(await send(client, server, "b")) == [("accepted", "DATA", 250)]
    assert script.connections == 1


@pytest.mark.parametrize(
    ("says", "first", "second"),
    [
        ({"MAIL": "550 5.1.8 sender refused"}, ("permanent", "MAIL", 550), ("permanent", "MAIL", 550)),
        ({"MAIL": "421 4.7.0 enough"}, ("temporary", "MAIL", 421), ("temporary", "MAIL", 421)),
        ({"MAIL": HANG_UP}, ("temporary", "MAIL", 0), ("temporary", "MAIL", 0)),
        ({"RCPT b@x.test": "421 4.7.0 enough"}, ("temporary", "RCPT", 421), ("temporary", "RCPT", 421)),
        ({"RCPT b@x.test": HANG_UP}, ("temporary", "RCPT", 0), ("temporary", "RCPT", 0)),
        ({"RCPT b@x.test": "550 5.1.1 no", "DATA": HANG_UP}, ("temporary", "DATA", 0), ("permanent", "RCPT", 550)),
        ({"DATA": "451 4.3.0 not now"}, ("temporary", "DATA", 451), ("temporary", "DATA", 451)),
        ({"DATA": "250 what?"}, ("temporary", "DATA", 250), ("temporary", "DATA", 250)),
        ({"END": HANG_UP}, ("temporary", "DATA", 0), ("temporary", "DATA", 0)),
        ({"END": "552 5.3.4 too large"}, ("permanent", "DATA", 552), ("permanent", "DATA", 552)),
        ({"RCPT a@x.test": "not SMTP at all"}, ("temporary", "RCPT", 0), ("temporary", "RCPT", 0)),
        ({"RCPT a@x.test": "250 " + "x" * 40_000}, ("temporary", "RCPT", 0), ("temporary", "RCPT", 0)),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_where_it_ends_early_the_command_that_was_not_answered_is_named(
    says: dict[str, str], first: tuple[str, str, int], second: tuple[str, str, int]
) -> None:
    async with pipelining(says) as (script, server, client):
        assert told(await send(client, server, "a", "b")) == [first, second]
        if "END" not in says:
            assert not script.content


async def test_silence_is_the_silence_of_the_command_it_follows() -> None:
    client = SmtpClient(Identity("mx.ours.test", 0.5, None), 30.0)
    async with remote({"RCPT b@x.test": SILENCE}, extensions=OFFERS) as (script, server):
        done = await send(client, server, "a", "b")
    assert told(done) == [("temporary", "RCPT", 0)] * 2 and not script.content


async def test_what_a_server_says_beyond_its_answers_is_no_answer_to_the_next_mail() -> None:
    async with pipelining({"END": ["250 2.0.0 taken\r\n250 and more\r\n250 and more"]}) as (script, server, client):
        assert told(await send(client, server, "a")) == [("accepted", "DATA", 250)]
        script.says = {"RCPT b@x.test": "550 5.1.1 unknown"}
        assert told(await send(client, server, "b")) == [("permanent", "RCPT", 550)]
    assert script.connections == 1


async def test_an_answer_too_many_in_the_middle_takes_no_mail_for_delivered() -> None:
    async with pipelining({"MAIL": ["250 ok\r\n250 and more"]}) as (script, server, client):
        assert told(await send(client, server, "a", "b")) == [("temporary", "DATA", 250)] * 2
        assert not script.content
        assert told(await send(client, server, "a")) == [("accepted", "DATA", 250)]
    assert script.connections == 2


async def test_an_answer_too_many_refuses_nobody_for_good() -> None:
    """Whose refusal it is, nobody knows."""
    says = {"MAIL": ["250 ok\r\n250 and more"], "RCPT b@x.test": "550 5.1.1 unknown"}
    async with pipelining(says) as (script, server, client):
        assert {outcome for outcome, _, _ in told(await send(client, server, "a", "b", "c"))} == {"temporary"}
        assert not script.content


async def test_a_reply_that_comes_octet_by_octet_is_read_once() -> None:
    transport = asyncio.Transport()
    replies, lines = Replies(transport), b"250-x\r\n" * 1000 + b"250 done\r\n"
    reading = asyncio.create_task(replies.next(20.0))
    for octet in lines:
        replies.data_received(bytes([octet]))
        await asyncio.sleep(0)
    answer = await reading
    assert (answer.code, answer.message.count("\n")) == (250, 1000)


async def test_very_many_recipients_are_asked_one_by_one() -> None:
    client = SmtpClient(Identity("mx.ours.test", 5.0, None), 30.0)
    names = [f"r{number}" for number in range(MOST_AHEAD + 1)]
    async with remote({f"RCPT {names[0]}@x.test": "421 4.7.0 enough"}, extensions=OFFERS) as (script, server):
        done = await send(client, server, *names)
    assert {one.code for one in done} == {421} and sum(line.startswith("RCPT") for line in script.heard) == 1


async def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    context = tls_context(Settings(data_dir=tmp_path, authserv_id="remote.test"))
    client = SmtpClient(Identity("mx.ours.test", 5.0, None), 30.0)
    async with remote(extensions=("STARTTLS", *OFFERS), tls=context, holds=True, piece=3) as (script, server):
        for _ in range(2):
            (done,) = await send(client, server, "a")
            assert done.outcome == "accepted" and done.tls.startswith("TLSv1.")
        client.sessions.close()
    assert script.connections == 1
