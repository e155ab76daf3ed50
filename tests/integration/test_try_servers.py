"""An attempt asks a bounded number of servers, keeps sessions for the next mail, and takes for an acceptance what is one."""

import time

import pytest

from contracts.errors import InvalidEvent
from contracts.events import Attempt, Outcome
from sinks.delivery.attempt_smtp import SmtpTransaction
from sinks.delivery.find_servers import Server
from sinks.delivery.keep_sessions import TRANSACTIONS
from sinks.delivery.open_session import Identity, to_wire
from sinks.delivery.try_servers import MOST_ADDRESSES, SmtpClient, candidates
from tests.fakes.scripted_smtp import HANG_UP, SILENCE, remote

CONTENT = b"Subject: x\r\n\r\nhello\r\n"


def mail(to: str = "a@x.test", content: bytes = CONTENT) -> SmtpTransaction:
    async def read() -> bytes:
        return to_wire(content)

    return SmtpTransaction("b+1@ours.test", (to,), len(content), read, False)


def client(wait: float = 5.0, seconds: float = 30.0) -> SmtpClient:
    return SmtpClient(Identity("mx.ours.test", wait, None), seconds)


async def attempt(who: SmtpClient, *servers: Server) -> Attempt:
    (done,) = await who.try_servers(list(servers), mail(), 1, lambda: None)
    return done


@pytest.mark.parametrize("answer", ["251 2.1.5 will forward", "200 fine", "252 2.0.0 taken"])
async def test_any_2yz_at_the_end_of_data_is_an_acceptance(answer: str) -> None:
    """Whoever sends such a mail again sends it twice."""
    async with remote({"END": answer}) as (_, server):
        done = await attempt(client(), server)
    assert (done.outcome, done.code, done.command) == (Outcome.ACCEPTED, int(answer[:3]), "DATA")


@pytest.mark.parametrize(
    "says",
    [
        {"banner": "554 5.3.2 no mail here"},
        {"banner": "421 4.3.2 too busy"},
        {"banner": HANG_UP},
        {"EHLO": "550 5.7.1 bad name", "HELO": "550 5.7.1 bad name"},
        {"EHLO": HANG_UP},
        {"MAIL": "451 4.7.1 later"},
        {"MAIL": HANG_UP},
    ],
    ids=str,
)
async def test_a_first_server_that_does_not_take_it_is_followed_by_the_next(says: dict[str, str]) -> None:
    async with remote(says) as (first, one), remote() as (second, other):
        done = await attempt(client(), one, other)
    assert done.outcome is Outcome.ACCEPTED and first.connections and second.content


async def test_what_the_recipient_was_told_stands_and_no_other_server_is_asked() -> None:
    async with remote({"RCPT a@x.test": "450 4.2.1 greylisted"}) as (_, one), remote() as (second, other):
        done = await attempt(client(), one, other)
    assert (done.code, second.connections) == (450, 0)


async def test_of_two_servers_that_both_did_not_take_it_the_one_that_may_later_is_told() -> None:
    refusing, busy = {"banner": "554 5.3.2 no mail here"}, {"banner": "421 4.3.2 too busy"}
    for says in ((refusing, busy), (busy, refusing)):
        async with remote(says[0]) as (_, one), remote(says[1]) as (_, other):
            done = await attempt(client(), one, other)
        assert (done.outcome, done.code) == (Outcome.TEMPORARY, 421)
    async with remote(refusing) as (_, one), remote(refusing) as (_, other):
        assert (await attempt(client(), one, other)).outcome is Outcome.PERMANENT


async def test_servers_without_end_are_asked_only_as_far_as_the_bound() -> None:
    """Five names with a hundred addresses each, none of which greets, took eight hours and a half."""
    async with remote({"banner": SILENCE}) as (script, server):
        many = [Server(f"mx{n}.test", tuple(f"127.0.{n}.{m}" for m in range(1, 101)), server.port) for n in range(1, 6)]
        assert len(list(candidates(many))) == MOST_ADDRESSES
        assert len({one.host for one, _ in candidates(many)}) == 5
        alone = [Server("mx.test", ("127.0.0.1", "127.0.0.1", "::ffff:127.0.0.1"), server.port)]
        assert [address for _, address in candidates(alone)] == ["127.0.0.1", "::ffff:7f00:1"]
        began = time.monotonic()
        done = await attempt(client(wait=120.0, seconds=1.0), server)
        assert time.monotonic() - began < 60 and script.connections == 1
    assert (done.outcome, done.code) == (Outcome.TEMPORARY, 0) and "not over within 1 s" in done.text


async def test_the_next_mail_goes_over_the_same_session() -> None:
    ours = client()
    async with remote() as (script, server):
        for _ in range(5):
            assert (await attempt(ours, server)).outcome is Outcome.ACCEPTED
        ours.sessions.close()
    assert script.connections == 1 and sum(line.startswith("EHLO") for line in script.heard) == 1


async def test_a_recipient_that_was_refused_does_not_spoil_the_session() -> None:
    ours = client()
    async with remote({"RCPT b@x.test": "550 5.1.1 unknown"}) as (script, server):
        (refused,) = await ours.try_servers([server], mail("b@x.test"), 1, lambda: None)
        done = await attempt(ours, server)
        ours.sessions.close()
    assert (refused.code, done.code, script.connections) == (550, 250, 1)


@pytest.mark.parametrize("says", ["421 4.4.2 idle for too long", HANG_UP, "451 4.7.0 enough for this session"])
async def test_a_session_that_wants_no_more_is_no_answer_to_the_mail(says: str) -> None:
    ours = client()
    async with remote({"MAIL": ["250 ok", says]}) as (script, server):
        done = [await attempt(ours, server), await attempt(ours, server)]
        ours.sessions.close()
    assert [one.outcome for one in done] == [Outcome.ACCEPTED] * 2 and script.connections == 2


async def test_a_session_is_left_after_enough_mails_and_when_it_is_idle() -> None:
    ours = client()
    async with remote() as (script, server):
        for _ in range(TRANSACTIONS + 1):
            await attempt(ours, server)
        assert script.connections == 2
        ours.sessions.close_idle(0.0)
        await attempt(ours, server)
        ours.sessions.close()
    assert script.connections == 3


async def test_the_message_is_read_when_a_recipient_was_accepted_and_begins_to_count_then() -> None:
    steps: list[str] = []

    async def read() -> bytes:
        steps.append("read")
        return to_wire(CONTENT)

    async with remote({"RCPT a@x.test": "550 5.1.1 unknown"}) as (script, server):
        ours = client()
        asked = SmtpTransaction("b+1@ours.test", ("a@x.test",), 10, read, False)
        await ours.try_servers([server], asked, 1, lambda: steps.append("begins"))
        assert steps == []
        asked = SmtpTransaction("b+1@ours.test", ("b@x.test",), 10, read, False)
        await ours.try_servers([server], asked, 1, lambda: steps.append("begins"))
        ours.sessions.close()
    assert steps == ["read", "begins"] and "DATA" in script.heard


async def test_a_message_that_is_gone_is_told_as_such_and_leaves_no_half_of_a_transaction() -> None:
    async def gone() -> bytes:
        raise InvalidEvent("raw_missing", "Kafka holds this message no more")

    async with remote() as (script, server):
        ours = client()
        with pytest.raises(InvalidEvent):
            await ours.try_servers([server], SmtpTransaction("", ("a@x.test",), 1, gone, False), 1, lambda: None)
        assert ours.sessions.take(server.host, server.port) is None
        assert (await attempt(ours, server)).outcome is Outcome.ACCEPTED
        ours.sessions.close()
    assert script.connections == 2
