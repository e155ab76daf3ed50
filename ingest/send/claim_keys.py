"""Idempotency keys of the send hook: a request that is repeated gets the first answer, and is sent once, whichever replica hears it.

A key is a claim (`runtime/claim.py`), made before the mail is published, and it names the mail_id. A request that is repeated after a crash
in between is published under the same mail_id, so that the log shows one mail.
"""

import hashlib
import time

from contracts.errors import Unavailable
from contracts.ids import new_mail_id
from contracts.shared_state import Claim
from runtime.claim import LEASE, Claims

PATIENCE = LEASE.total_seconds() + 5  # seconds that a repeated request waits for the first one's answer
LOOK_AGAIN = 0.5  # seconds that news of another replica may take
ASK_AGAIN = 0.5  # seconds


class KeyReused(Exception):
    """The key was used for another request."""


class IdempotencyKeys:
    """The keys of all replicas."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    async def begin(self, token: str, key: str, request: bytes) -> Claim:
        """The claim of a key of this token (its id: two tokens may have one name): with the answer that was given before, or ours to work
        on, under the mail_id that it names; then `finish` or `abandon` it. KeyReused when the key stands for another request. Unavailable
        when Kafka is, or when another replica is at work on it for longer than a request may wait: send it again."""
        claimed = "send:" + hashlib.sha256(f"{token}\0{key}".encode()).hexdigest()
        fingerprint = hashlib.sha256(request).hexdigest()
        deadline = time.monotonic() + PATIENCE
        looked_again = False
        while time.monotonic() < deadline:
            first = await self._claims.claim(claimed, new_mail_id(), fingerprint)
            if first.fingerprint != fingerprint:
                if looked_again:
                    raise KeyReused(key)
                looked_again = True  # another replica may have taken it back this moment
                await self._claims.news(first, LOOK_AGAIN)
                continue
            if first.answer is not None or self._claims.take_up(first):
                return first
            await self._claims.news(first, ASK_AGAIN)
        raise Unavailable("the answer", "a request with this key is still being worked on")

    async def finish(self, claim: Claim, answer: str) -> None:
        """The request was answered so. Unavailable when that could not be written down: repeated, it is sent under the same mail_id."""
        try:
            await self._claims.answer(claim, answer)
        finally:
            self._claims.put_down(claim)

    async def abandon(self, claim: Claim, *, refused: bool) -> None:
        """Nothing was sent. Refused, the key is free again; else whoever repeats the request sends it under the same mail_id."""
        try:
            if refused:
                await self._claims.release(claim)
        finally:
            self._claims.put_down(claim)
