"""One call of a subscriber: the event as it stands in its topic, signed by the scheme of Standard Webhooks 1.0."""

import asyncio
import time
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from contracts import clock
from contracts.codec import CONTENT_TYPE
from contracts.errors import ConfigurationError
from contracts.setting_types import Secret, parse_webhook_secret
from contracts.subscription_settings import Subscription
from contracts.subscriptions import CallOutcome
from mail.redact_addresses import redact_addresses
from sinks.dispatch.post_bounded import post_bounded

CALLS = 20  # of one subscriber at a time
MAX_ANSWER = 4096  # octets that are read of an answer
KEPT = 300  # characters of it that are kept
# Of a connection that was kept, and that the other side has closed at this moment: once more, by another one.
BROKEN = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
AWAY = (408, 425, 429)  # beside 5xx: it may take the same event later


@dataclass(frozen=True)
class Answer:
    """What one call came to."""

    outcome: CallOutcome
    started_at: datetime
    duration_ms: int
    code: int = 0  # 0: nobody answered
    text: str = ""


class Subscriber:
    """One subscriber, with connections of its own, so that one that hangs takes nobody else's. Close it. ConfigurationError when its
    secret cannot be read."""

    def __init__(self, name: str, subscription: Subscription) -> None:
        self._url = httpx.URL(subscription.url)
        self._timeout = subscription.timeout.total_seconds()
        self._signers = [Webhook(secret.reveal()) for secret in secrets_of(name, subscription)]
        # It is called as it is written, and where it redirects nobody follows.
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            timeout=None,
            trust_env=False,
            limits=httpx.Limits(max_connections=CALLS, max_keepalive_connections=CALLS),
        )

    async def call(self, event_id: str, body: bytes) -> Answer:
        """Give it one event. Never raises for what the other side does."""
        started, began = clock.now(), time.monotonic()
        code, text = 0, ""
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    code, text = await self._post(event_id, body)
                except BROKEN:
                    code, text = await self._post(event_id, body)
        except TimeoutError:
            text = f"no answer within {self._timeout:g} s"
        except Exception as error:  # the network, or what is no HTTP
            text = f"{type(error).__name__}: {error}"
        outcome = judge(code)
        return Answer(outcome, started, int((time.monotonic() - began) * 1000), code, one_line(text))

    async def close(self) -> None:
        """Give its connections up."""
        await self._client.aclose()

    async def _post(self, event_id: str, body: bytes) -> tuple[int, str]:
        now = datetime.now(UTC)
        headers = {
            "content-type": CONTENT_TYPE,
            "user-agent": "Mailscope",
            "webhook-id": event_id,  # the same on each retry
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(one.sign(event_id, now, body.decode()) for one in self._signers),
        }
        code, answer = await post_bounded(self._client, self._url, body, headers, MAX_ANSWER)
        return code, answer.decode("utf-8", "replace")


def judge(code: int) -> CallOutcome:
    """What an HTTP status means (0: nobody answered). A redirect is a refusal: nobody follows it."""
    if 200 <= code < 300:
        return CallOutcome.TAKEN
    if code == 410:
        return CallOutcome.GONE
    return CallOutcome.AWAY if code == 0 or code >= 500 or code in AWAY else CallOutcome.REFUSED


def secrets_of(name: str, subscription: Subscription) -> list[Secret]:
    """Those that sign. ConfigurationError when the file cannot be read, or what is in it is none."""
    if subscription.secret_file is None:
        assert subscription.secret is not None
        return [subscription.secret]
    file = subscription.secret_file
    try:
        secrets = [parse_webhook_secret(Secret(line)) for line in file.read_text("utf-8").split()]
    except OSError as error:
        raise ConfigurationError(
            f"subscriptions.{name}.secret_file: {file} cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"subscriptions.{name}.secret_file: {file}: {error}") from error
    if not secrets:
        raise ConfigurationError(f"subscriptions.{name}.secret_file: {file} is empty")
    return secrets


def one_line(text: str) -> str:
    """What is kept of an answer: one line, no addresses."""
    plain = "".join(" " if unicodedata.category(one) in ("Cc", "Zl", "Zp") else one for one in text)
    return redact_addresses(" ".join(plain.split()), lambda _: True, "[address]")[:KEPT]
