"""What an attempt says of each thing that a server may do, against a server that follows a script on a real socket."""

import asyncio
from pathlib import Path

import pytest

from contracts.events import Attempt, Outcome
from contracts.settings import Settings
from ingest.smtp.serve_tls import tls_context
from sinks.delivery.attempt_smtp import SmtpTransaction
from sinks.delivery.find_servers import Server
from sinks.delivery.open_session import Identity, to_wire
from sinks.delivery.try_servers import SmtpClient
from tests.fakes.scripted_smtp import HANG_UP, SILENCE, remote

CONTENT = b"Subject: x\r\n\r\n.dot\r\nend\r\n"


async def attempt(
    server: Server,
    recipients: tuple[str, ...] = ("a@x.test",),
    *,
    content: bytes = CONTENT,
    utf8: bool = False,
    wait: float = 5.0,
) -> list[Attempt]:
    client = SmtpClient(Identity("mx.ours.test", wait, None), 60.0)
    try:
        return await client.try_servers([server], transaction(recipients, content, utf8), 1, lambda: None)
    finally:
        client.sessions.close()


def transaction(
    recipients: tuple[str, ...] = ("a@x.test",), content: bytes = CONTENT, utf8: bool = False
) -> SmtpTransaction:
    async def read() -> bytes:
        return to_wire(content)

    return SmtpTransaction("b+1@ours.test", recipients, len(content), read, utf8)


async def test_an_accepted_mail_shows_who_took_it_and_arrives_as_it_was() -> None:
    async with remote() as (script, server):
        (done,) = await attempt(server)
    assert (done.outcome, done.code, done.enhanced_code, done.text) == ("accepted", 250, "2.0.0", "2.0.0 queued as 7")
    assert (done.host, done.ip, done.port, done.tls) == ("mx.remote.test", "127.0.0.1", server.port, "")
    assert script.content == CONTENT.replace(b"\r\n.dot", b"\r\n..dot") + b".\r\n"
    assert f"MAIL FROM:<b+1@ours.test> SIZE={len(CONTENT)} BODY=8BITMIME" in script.heard


@pytest.mark.parametrize(
    ("says", "outcome", "command", "code"),
    [
        ({"banner": "421 4.3.2 too busy"}, "temporary", "connect", 421),
        ({"banner": "554 5.7.1 go away"}, "permanent", "connect", 554),
        ({"banner": HANG_UP}, "temporary", "connect", 0),
        ({"banner": SILENCE}, "temporary", "connect", 0),
        ({"EHLO": "550 5.7.1 bad name", "HELO": "550 5.7.1 bad name"}, "permanent", "EHLO", 550),
        ({"EHLO": HANG_UP}, "temporary", "EHLO", 0),
        ({"MAIL": "451 4.7.1 later"}, "temporary", "MAIL", 451),
        ({"MAIL": "550 5.1.8 sender refused"}, "permanent", "MAIL", 550),
        ({"RCPT a@x.test": "550 5.1.1 no such user"}, "permanent", "RCPT", 550),
        ({"RCPT a@x.test": "450 4.2.1 busy"}, "temporary", "RCPT", 450),
        ({"RCPT a@x.test": HANG_UP}, "temporary", "RCPT", 0),
        ({"RCPT a@x.test": SILENCE}, "temporary", "RCPT", 0),
        ({"DATA": "554 5.5.1 no valid recipients"}, "permanent", "DATA", 554),
        ({"DATA": "250 what?"}, "temporary", "DATA", 250),
        ({"END": "552 5.3.4 too large"}, "permanent", "DATA", 552),
        ({"END": "451 4.3.0 disk full"}, "temporary", "DATA", 451),
        ({"END": HANG_UP}, "temporary", "DATA", 0),
        ({"END": "not SMTP at all"}, "temporary", "DATA", 0),
    ],
    ids=str,
)
async def test_where_it_fails_it_says_at_which_command_and_whether_for_good(
    says: dict[str, str], outcome: str, command: str, code: int
) -> None:
    async with remote(says) as (_, server):
        (failed,) = await attempt(server, wait=0.5 if SILENCE in says.values() else 5.0)
    assert (failed.outcome, failed.command) == (outcome, command)
    assert failed.code in (code, 0) if "not SMTP" in str(says) else failed.code == code
    if code and says.get("HELO") is None:
        assert next(iter(says.values())).endswith(failed.text)
    assert failed.text


async def test_each_recipient_has_an_answer_of_its_own() -> None:
    says = {"RCPT b@x.test": "550 5.1.1 unknown", "RCPT c@x.test": "452 4.2.2 full", "RCPT d@x.test": "252 will try"}
    async with remote(says) as (script, server):
        done = await attempt(server, ("a@x.test", "b@x.test", "c@x.test", "d@x.test"))
    told = [(one.target, one.outcome.value, one.code, one.command) for one in done]
    assert told == [
        ("a@x.test", "accepted", 250, "DATA"),
        ("b@x.test", "permanent", 550, "RCPT"),
        ("c@x.test", "temporary", 452, "RCPT"),
        ("d@x.test", "accepted", 250, "DATA"),
    ]
    assert script.content


async def test_where_no_recipient_is_left_nothing_is_sent() -> None:
    async with remote({"RCPT a@x.test": "550 5.1.1 unknown"}) as (script, server):
        await attempt(server)
    assert not any(line.startswith("DATA") for line in script.heard)


async def test_a_server_that_leaves_in_the_middle_of_the_recipients_leaves_the_rest_for_later() -> None:
    async with remote({"RCPT b@x.test": "421 4.7.0 enough"}) as (_, server):
        done = await attempt(server, ("a@x.test", "b@x.test", "c@x.test"))
    assert [one.outcome for one in done] == [Outcome.TEMPORARY] * 3 and {one.code for one in done} == {421}


async def test_a_refused_connection_names_the_address_and_the_next_one_is_tried() -> None:
    async with remote() as (script, server):
        (done,) = await attempt(Server(server.host, ("127.0.0.2", "127.0.0.1"), server.port))
        assert (done.outcome, done.ip) == ("accepted", "127.0.0.1") and script.connections == 1
        port = server.port
    (failed,) = await attempt(Server("mx.remote.test", ("127.0.0.1",), port))
    assert (failed.outcome, failed.command, failed.code, failed.ip) == ("temporary", "connect", 0, "127.0.0.1")


async def test_encryption_is_used_where_it_is_offered(tmp_path: Path) -> None:
    context = tls_context(Settings(data_dir=tmp_path, authserv_id="remote.test"))
    async with remote(extensions=("STARTTLS",), tls=context) as (_, server):
        (done,) = await attempt(server)
    assert done.outcome is Outcome.ACCEPTED and done.tls.startswith("TLSv1.")


@pytest.mark.parametrize("said", ["454 4.7.0 TLS not available", "501 5.5.4 no", "220 but no TLS follows", HANG_UP])
async def test_encryption_that_cannot_be_had_does_not_stop_the_mail(said: str) -> None:
    async with remote({"STARTTLS": said}, extensions=("STARTTLS",)) as (script, server):
        (done,) = await attempt(server, wait=1.0)
    assert (done.outcome, done.tls) == (Outcome.ACCEPTED, "") and script.connections == 2


async def test_an_address_that_needs_smtputf8_is_not_forced_upon_a_server_without_it() -> None:
    async with remote() as (script, server):
        (failed,) = await attempt(server, ("jürgen@x.test",), utf8=True)
    assert failed.outcome is Outcome.PERMANENT and failed.code == 0 and "SMTPUTF8" in failed.text
    assert not any(line.startswith("MAIL") for line in script.heard)
    async with remote(extensions=("SMTPUTF8", "8BITMIME")) as (script, server):
        (done,) = await attempt(server, ("jürgen@x.test",), content="Subject: Grüße\r\n\r\nx\r\n".encode(), utf8=True)
    assert done.outcome is Outcome.ACCEPTED and "RCPT TO:<jürgen@x.test>" in script.heard
    assert any(line.endswith("BODY=8BITMIME SMTPUTF8") for line in script.heard)


async def test_an_answer_in_octets_that_are_no_text_can_be_written_as_json() -> None:
    async with remote({"RCPT a@x.test": "550 5.1.1 unbekannt: M\udcfcller " + "x" * 400}) as (_, server):
        (failed,) = await attempt(server)
    failed.text.encode("utf-8")
    assert failed.code == 550 and "unbekannt" in failed.text


async def test_two_attempts_at_once_do_not_mix(tmp_path: Path) -> None:
    async with remote({"RCPT b@x.test": "550 5.1.1 unknown"}) as (_, server):
        both = await asyncio.gather(*(attempt(server, (f"{name}@x.test",)) for name in "ab" * 5))
    assert [one.outcome for (one,) in both] == [Outcome.ACCEPTED, Outcome.PERMANENT] * 5
