"""Claims on a broker of their own, since it is stopped here and its topics are compacted by force."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from contracts import topics
from contracts.codec import decode
from contracts.errors import Unavailable
from contracts.records import Record
from contracts.shared_state import Claim
from ingest.send.claim_keys import IdempotencyKeys, KeyReused
from local.run_kafka import LocalKafka
from runtime import claim as claim_module
from runtime.apply_topics import apply_topics
from runtime.claim import PARTITION, Claims
from runtime.publish import Publisher
from tests.conftest import find_free_port
from tests.fakes.broker import read_topic, settings_of

FORCED = {
    "segment.ms": "50",
    "min.cleanable.dirty.ratio": "0.001",
    "min.compaction.lag.ms": "0",
    "file.delete.delay.ms": "0",
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    folder = tmp_path_factory.mktemp("kafka")
    with LocalKafka(folder, find_free_port(), find_free_port()) as running:
        apply_topics(settings_of(running.bootstrap, folder))
        yield running


Join = Callable[[str], Claims]


@pytest.fixture
async def join(broker: LocalKafka) -> AsyncIterator[Join]:
    """A function: another replica, by its name."""
    kafka = {"bootstrap.servers": broker.bootstrap}
    publishers: list[Publisher] = []
    joined: list[Claims] = []

    def join(instance: str) -> Claims:
        publishers.append(Publisher(kafka, timeout=3.0))
        joined.append(Claims(kafka, publishers[-1], instance))
        return joined[-1]

    yield join
    for each in (*joined, *publishers):
        await each.close()


def start(broker: LocalKafka, instance: str, *names: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.integration.claimant", broker.bootstrap, instance, *names]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_that_claim_at_once_agree_on_every_claim(broker: LocalKafka) -> None:
    winners: set[str] = set()
    for round_ in range(10):  # until each of them has come first somewhere: else it was no race
        names = [f"race-{round_}-{number}" for number in range(100)]
        # One by one and in the same order: who is behind finds its claims lost, which is quicker, and catches up.
        both = [start(broker, "left", *names), start(broker, "right", *names)]
        for process in both:
            go(process)
        said = [process.communicate(timeout=60)[0].splitlines() for process in both]
        left, right = ({line.split()[0]: line.split()[1:] for line in lines} for lines in said)
        assert left.keys() == right.keys() == set(names)
        for name in names:
            assert left[name][0] == right[name][0], "two claimants won"
            assert sorted((left[name][1], right[name][1])) == ["False", "True"], "not exactly one of them works on it"
        winners |= {owner[0].split("-")[0] for owner in left.values()}
        if winners == {"left", "right"}:
            return
    raise AssertionError(f"no race in any round: {winners}")


async def test_an_owner_that_is_killed_leaves_its_id_to_its_next_life_at_once_and_to_others_after_a_while(
    broker: LocalKafka, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await asyncio.to_thread(start, broker, "shaky", "undone", "wait")
    go(process)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "undone shaky-undone True\n"
    process.kill()
    process.communicate()

    other = join("steady")
    first = await other.claim("undone", "steady-undone")
    assert first.claimant == "shaky-undone" and not other.take_up(first), "its owner may still be at work"
    again = join("shaky")
    known = await again.claim("undone", "shaky-second-life")
    assert known.claimant == "shaky-undone" and again.take_up(known)
    monkeypatch.setattr(claim_module, "LEASE", claim_module.LEASE * 0)
    assert other.take_up(first)


async def test_the_loser_hears_the_winners_answer(join: Join) -> None:
    one, two = IdempotencyKeys(join("one")), IdempotencyKeys(join("two"))
    won = await one.begin("app", "k", b"body")
    waiting = asyncio.create_task(two.begin("app", "k", b"body"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await one.finish(won, '{"mail_id": "x"}')
    heard = await asyncio.wait_for(waiting, 5)
    assert (heard.claimant, heard.answer) == (won.claimant, '{"mail_id": "x"}')
    with pytest.raises(KeyReused):
        await two.begin("app", "k", b"another body")
    assert (await two.begin("another app", "k", b"another body")).claimant != won.claimant


async def test_many_requests_with_one_key_at_two_replicas_are_one_piece_of_work(join: Join) -> None:
    replicas = [IdempotencyKeys(join("one")), IdempotencyKeys(join("two"))]
    worked: list[str] = []

    async def request(number: int) -> str:
        keys = replicas[number % 2]
        claim = await keys.begin("app", "many", b"body")
        if claim.answer is None:
            worked.append(claim.claimant)
            await asyncio.sleep(0.05)
            await keys.finish(claim, f"sent {claim.claimant}")
            return f"sent {claim.claimant}"
        return claim.answer

    answers = set(await asyncio.gather(*(request(number) for number in range(30))))
    assert len(worked) == 1 and answers == {f"sent {worked[0]}"}


async def test_a_loser_that_hears_late_hears_the_answer_that_came_meanwhile(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between losing and being told so the winner is done: the loser must not begin the work that is over."""
    one, two = join("one"), join("two")
    await one.claim("warm", "up")
    await two.claim("warm", "up")
    release, order = Claims.release, two._order.first
    asked = 0

    def blind_at_first(name: str, now: object) -> Claim | None:
        nonlocal asked
        asked += 1
        return None if asked == 1 else order(name, now)  # type: ignore[arg-type]

    async def release_while_the_winner_ends(self: Claims, claim: Claim) -> None:
        await one.answer(won, "sent")
        await release(self, claim)

    won = await one.claim("late", "winner")
    monkeypatch.setattr(two._order, "first", blind_at_first)
    monkeypatch.setattr(Claims, "release", release_while_the_winner_ends)
    heard = await two.claim("late", "loser")
    assert (heard.claimant, heard.answer) == ("winner", "sent")


async def test_a_refused_request_frees_its_key_and_an_unsent_one_keeps_its_id(join: Join) -> None:
    one, two = IdempotencyKeys(join("one")), IdempotencyKeys(join("two"))
    refused = await one.begin("app", "refused", b"body")
    await one.abandon(refused, refused=True)
    mended = await two.begin("app", "refused", b"mended body")
    assert mended.claimant != refused.claimant
    unsent = await one.begin("app", "unsent", b"body")
    await one.abandon(unsent, refused=False)
    assert (await one.begin("app", "unsent", b"body")).claimant == unsent.claimant


def compact_by_force(broker: LocalKafka, settled: Callable[[], bool]) -> None:
    """Write until the cleaner has left what `settled` looks for."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in FORCED.items()]
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topics.CLAIMS, incremental_configs=entries)]
    ).values():
        future.result(20)

    async def roll() -> None:
        publisher = Publisher({"bootstrap.servers": broker.bootstrap}, timeout=20.0)
        await publisher.publish(Record(topics.CLAIMS, "noise x", None, [], PARTITION))
        await publisher.close()

    deadline = time.monotonic() + 90
    while not settled():
        assert time.monotonic() < deadline, "nothing was compacted"
        asyncio.run(roll())
        time.sleep(0.5)


async def test_after_compaction_a_new_replica_knows_the_winner_and_no_loser_wins(
    broker: LocalKafka, join: Join
) -> None:
    """A loser's claim that was never taken back (its process was killed) stands between the winner's claim and its answer."""
    one = join("one")
    won = await one.claim("compacted", "winner")
    publisher = Publisher({"bootstrap.servers": broker.bootstrap}, timeout=20.0)
    loser = Claim(claim="compacted", claimant="loser", owner="dead", claimed_at=won.claimed_at)
    await publisher.publish(claim_module._record(loser))
    await publisher.close()
    await one.answer(won, "sent")

    def offsets() -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for message in read_topic(broker.bootstrap, topics.CLAIMS):
            if message.value() is not None and (read := decode(message.value(), Claim)).claim == "compacted":
                found.setdefault(read.claimant, []).append(message.offset())
        return found

    before = offsets()
    assert len(before["winner"]) == 2 and before["winner"][0] < before["loser"][0] < before["winner"][1]
    await asyncio.to_thread(compact_by_force, broker, lambda: len(offsets()["winner"]) == 1)
    after = offsets()
    assert after["loser"] < after["winner"], "the winner's claim is still there: nothing is proved"

    new = join("new")
    first = await new.claim("compacted", "newcomer")
    assert (first.claimant, first.answer, first.offset) == ("winner", "sent", before["winner"][0])
    assert (await one.claim("compacted", "x")).claimant == "winner"


async def test_kafka_away_keeps_what_is_known_and_goes_on_when_it_is_back(broker: LocalKafka, join: Join) -> None:
    one, two = join("one"), join("two")
    known = await one.claim("known", "a")
    await one.answer(known, "sent")
    await two.news(await two.claim("known", "b"), 10.0)
    await asyncio.to_thread(broker.kill)
    began = time.monotonic()
    assert (await one.claim("known", "c")).answer == (await two.claim("known", "d")).answer == "sent"
    with pytest.raises(Unavailable):
        await one.claim("unknown", "e")
    await asyncio.sleep(16 - (time.monotonic() - began))
    await asyncio.to_thread(broker.start)

    async def claimed_again() -> Claim:
        for _ in range(20):
            try:
                return await two.claim("unknown", "f")
            except Unavailable:
                continue
        raise AssertionError("it does not go on")

    first = await claimed_again()
    assert (await one.claim("unknown", "g")).claimant == first.claimant
