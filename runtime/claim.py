"""Claims: one of several processes gets what only one may have, and all of them agree on which, also after restarts and kill -9.

A claim belongs to whoever's record stands first: publish, read up to your own record, then you know. Compaction keeps the last record of
a key only, so each claimant writes under a key of its own, and what is written over it later (the answer) carries the offset at which the
claimant stood first. Whoever reads a partition to its end therefore knows every claimant of the last day and their order.
A claimant that has lost, or whose request was refused, takes its record back.

All claims stand in one partition: they are few, every process reads all of them, and a topic that is given more partitions must not
move one of them. Memory: about 500 octets and the answer for each claim of the last day.
"""

import contextlib
import logging
import threading
import time
from datetime import datetime, timedelta

import msgspec

from contracts import clock, topics
from contracts.codec import HEADERS, decode, encode_claim
from contracts.errors import InvalidEvent, Unavailable
from contracts.records import ConsumedRecord, Record
from contracts.shared_state import KEPT, Claim, claim_key
from runtime.connect_kafka import Properties
from runtime.follow_table import TopicFollower
from runtime.publish import Publisher

PARTITION = 0
LEASE = timedelta(seconds=25)  # after which an owner that has not answered is taken to be gone; publishing ends earlier
SWEEP = 60.0  # seconds between two looks for claims that are too old
SOURCE = "mailscope/claims"

_log = logging.getLogger("mailscope.claims")


class ClaimOrder:
    """Who stands first, from the records of `mail.claims` in their order. Safe for threads. Claims that do not begin with `only` are left
    out: who never asks for them does not keep them."""

    def __init__(self, only: str = "") -> None:
        self._only = only
        self._lock = threading.Lock()
        self._claims: dict[str, dict[str, Claim]] = {}  # by claim, by claimant
        self._swept = time.monotonic()

    def take(self, record: ConsumedRecord) -> None:
        """One record. One that cannot be read is told in the log, and stands for nothing."""
        name, _, claimant = (record.key or b"").decode("utf-8", "replace").rpartition(" ")
        if not name.startswith(self._only):
            return
        with self._lock:
            if record.value is None:
                self._forget(name, claimant)
            else:
                try:
                    claim = decode(record.value, Claim)
                except InvalidEvent as error:
                    _log.error("%s is left out: %s", record, error)
                    return
                offset = record.offset if claim.offset is None else claim.offset
                known = self._claims.setdefault(claim.claim, {})
                known[claim.claimant] = msgspec.structs.replace(claim, offset=offset)
            if time.monotonic() - self._swept > SWEEP:
                self._swept = time.monotonic()
                self._sweep(clock.now())

    def first(self, name: str, now: datetime) -> Claim | None:
        """Whose the claim is, with its offset; None when nobody has claimed it within KEPT."""
        with self._lock:
            living = [claim for claim in self._claims.get(name, {}).values() if now - claim.claimed_at < KEPT]
        return min(living, key=lambda claim: claim.offset or 0, default=None)

    def __len__(self) -> int:
        return sum(len(claimants) for claimants in self._claims.values())

    def _forget(self, name: str, claimant: str) -> None:
        claimants = self._claims.get(name, {})
        claimants.pop(claimant, None)
        if not claimants:
            self._claims.pop(name, None)

    def _sweep(self, now: datetime) -> None:
        old = [one for claimants in self._claims.values() for one in claimants.values() if now - one.claimed_at >= KEPT]
        for claim in old:
            self._forget(claim.claim, claim.claimant)


class Claims:
    """The claims of all processes, as seen by this one, which is called `instance` among its like: two lives of one name follow each
    other (`run_stage.py` sees to it)."""

    def __init__(self, kafka: Properties, publisher: Publisher, instance: str, only: str = "") -> None:
        """`only`: how the claims begin that this process makes and asks for."""
        self._publisher = publisher
        self._instance = instance
        self._order = ClaimOrder(only)
        self._working: set[str] = set()
        self._follower = TopicFollower(kafka, topics.CLAIMS, self._order.take)

    @property
    def why_not_ready(self) -> str:
        """Empty once all claims of the last day are known."""
        return self._follower.why_not_ready

    async def claim(self, name: str, claimant: str, fingerprint: str = "") -> Claim:
        """Whose `name` is: ours if it is nobody's yet (then its claimant is `claimant`), as it is known when this returns. Unavailable
        when Kafka cannot tell."""
        await self._follower.ready()
        while (first := self._order.first(name, clock.now())) is None:
            ours = Claim(
                claim=name, claimant=claimant, owner=self._instance, fingerprint=fingerprint, claimed_at=clock.now()
            )
            await self._follower.read_up_to(await self._publisher.publish_at(_record(ours)))
            first = self._order.first(name, clock.now())
            if first is None:  # nobody but us takes it back, and we have not: Kafka is not what we wrote to
                raise Unavailable("Kafka", f"{topics.CLAIMS} does not hold what was acknowledged")
            if first.claimant == claimant:
                return first
            await self.release(ours)  # and look again: meanwhile the first may have been answered, or taken back
        return first

    def known(self, name: str) -> Claim | None:
        """Whose `name` is, as far as this process knows; None when nobody's. Nothing is claimed."""
        return self._order.first(name, clock.now())

    def take_up(self, first: Claim) -> bool:
        """Whether the work of this claim is now ours: it was ours all the time, or whoever had it has answered, or is gone. `put_down` it
        after."""
        if first.claim in self._working or (first.answer is None and self._is_worked_on(first)):
            return False
        self._working.add(first.claim)
        return True

    def put_down(self, first: Claim) -> None:
        """This process does not work on it any more."""
        self._working.discard(first.claim)

    async def news(self, first: Claim, at_most: float) -> None:
        """Wait until the claim is answered or taken back, at most so many seconds."""

        def changed() -> bool:
            now = self._order.first(first.claim, clock.now())
            return now is None or now.claimant != first.claimant or now.answer is not None

        with contextlib.suppress(Unavailable):
            await self._follower.until(changed, at_most, "no news")

    async def answer(self, first: Claim, answer: str) -> None:
        """What came of it, for whoever asks again. Unavailable when Kafka does not take it: then it may be done once more."""
        place = await self._publisher.publish_at(_record(msgspec.structs.replace(first, answer=answer)))
        await self._follower.read_up_to(place)

    async def release(self, claim: Claim) -> None:
        """Take the claim back: nothing came of it. When Kafka does not take that, it stays for a day, and that is said."""
        key = claim_key(claim)
        try:
            place = await self._publisher.publish_at(Record(topics.CLAIMS, key, None, [], PARTITION))
            await self._follower.read_up_to(place)
        except Unavailable as error:
            _log.warning("the claim %s could not be taken back: %s", key, error)

    async def close(self) -> None:
        """Stop following."""
        await self._follower.close()

    def _is_worked_on(self, first: Claim) -> bool:
        """By another process, as far as can be known: an earlier life of this one is over; another has LEASE to answer."""
        return first.owner != self._instance and clock.now() < first.claimed_at + LEASE


def _record(claim: Claim) -> Record:
    return Record(topics.CLAIMS, claim_key(claim), encode_claim(claim, SOURCE), HEADERS, PARTITION)
