"""One call of a handler: a webhook (Standard Webhooks 1.0) or a Python function, and what its answer means."""

import asyncio
import importlib
import inspect
import json
import time
import unicodedata
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from standardwebhooks import Webhook

from contracts import clock
from contracts.errors import ConfigurationError
from contracts.events import Attempt, Outcome
from contracts.setting_types import Secret, parse_webhook_secret
from contracts.settings import Handler
from contracts.statuses import Reason
from sinks.dispatch.post_bounded import post_bounded

MAX_THREADS = 50
MAX_ANSWER = 64 << 10
_NOT_IN_LINES = frozenset(("Cc", "Zl", "Zp"))  # control characters, line and paragraph separators
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://mailscope.dev/webhook")


class Called:
    """One handler of the configuration, ready to be called. ConfigurationError when it cannot be."""

    def __init__(self, name: str, handler: Handler) -> None:
        self.name = name
        self._handler = handler
        self._timeout = handler.timeout.total_seconds()
        secret = _secret(name, handler)
        self._signer = Webhook(secret.reveal()) if secret else None
        # Threads of its own: a function that hangs must not hold up the reading of messages.
        self._threads = (
            ThreadPoolExecutor(MAX_THREADS, thread_name_prefix=f"handler-{name}") if handler.python else None
        )
        self._function = _function(name, handler.python) if handler.python else None

    @property
    def is_function(self) -> bool:
        """Whether it is called in this process."""
        return self._function is not None

    async def call(self, client: httpx.AsyncClient, mail: dict[str, Any], number: int, round_: int = 0) -> Attempt:
        """One attempt. Never raises for what the handler does."""
        started, began = clock.now(), time.monotonic()
        base = Attempt(number=number, target=self.name, outcome=Outcome.TEMPORARY, started_at=started, command="POST")
        try:
            if self._function is not None:
                base = msgspec.structs.replace(base, command="call")
                attempt = _read_answer(base, await self._call_function(self._function, mail))
            else:
                attempt = await self._post(client, mail, base, round_)
        except TimeoutError:
            attempt = msgspec.structs.replace(base, text=f"no answer within {self._timeout:g} s")
        except Exception as error:  # the handler's own code, or the network: it may work later
            attempt = msgspec.structs.replace(base, text=f"{type(error).__name__}: {error}"[:2000])
        return msgspec.structs.replace(attempt, duration_ms=int((time.monotonic() - began) * 1000))

    async def _call_function(self, function: Callable[[dict[str, Any]], Any], mail: dict[str, Any]) -> Any:
        async with asyncio.timeout(self._timeout):
            if inspect.iscoroutinefunction(function):
                return await function(mail)
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, mail)

    async def _post(self, client: httpx.AsyncClient, mail: dict[str, Any], base: Attempt, round_: int) -> Attempt:
        url = httpx.URL(str(self._handler.webhook))
        base = msgspec.structs.replace(base, host=url.host, port=url.port or (443 if url.scheme == "https" else 80))
        body = json.dumps(mail, ensure_ascii=False).encode("utf-8", "replace").decode()
        # The same on every retry, so that a handler can tell a repetition from a second mail. Another one when the mail is run again: a
        # handler that has failed on it may have noted the old one.
        run = f"\x00{round_}" if round_ else ""
        identity = "msg_" + uuid.uuid5(_IDS, f"{mail['mail_id']}\x00{mail['recipient']}{run}").hex
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(identity, now, body)
        async with asyncio.timeout(self._timeout):
            code, answer = await post_bounded(client, url, body.encode(), headers, MAX_ANSWER)
        base = msgspec.structs.replace(base, code=code)
        if code == 429 or code >= 500:
            return msgspec.structs.replace(base, text=_text(answer))
        if code != 200:
            text = f"the handler answered {code} {_text(answer)}".strip()
            return msgspec.structs.replace(base, outcome=Outcome.PERMANENT, reason=Reason.HANDLER_ERROR, text=text)
        try:
            said = json.loads(answer)
        except (ValueError, RecursionError):
            return _not_understood(base, _text(answer))
        return _read_answer(base, said)


def _read_answer(base: Attempt, answer: Any) -> Attempt:
    if not isinstance(answer, dict):
        return _not_understood(base, repr(answer))
    status, reason = answer.get("status"), _line(answer.get("reason"))[:2000]
    if status == "processed":
        reference = _line(answer.get("reference"))[:200]
        return msgspec.structs.replace(base, outcome=Outcome.ACCEPTED, text=reason, reference=reference)
    if status == "skipped":
        return msgspec.structs.replace(base, outcome=Outcome.SKIPPED, text=reason or "the handler gave no reason")
    if status == "failed":
        text = reason or "the handler gave no reason"
        return msgspec.structs.replace(base, outcome=Outcome.PERMANENT, reason=Reason.HANDLER_ERROR, text=text)
    return _not_understood(base, _line(str(answer)))


def _not_understood(base: Attempt, answer: str) -> Attempt:
    text = f"the handler's answer has no status processed, skipped or failed: {answer[:500]}"
    return msgspec.structs.replace(base, outcome=Outcome.PERMANENT, reason=Reason.HANDLER_ERROR, text=text)


def _line(value: Any) -> str:
    """A handler's word as one line that UTF-8 can carry: JSON can hold lone surrogates, and a key with a line end is none."""
    text = str(value or "")[:MAX_ANSWER].encode("utf-8", "replace").decode()
    return "".join(" " if unicodedata.category(one) in _NOT_IN_LINES else one for one in text).strip()


def _text(answer: bytes) -> str:
    return answer[:1000].decode("utf-8", "replace").strip()


def _function(name: str, path: str) -> Callable[[dict[str, Any]], Any]:
    module, _, attribute = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"handlers.{name}.python: {path} cannot be loaded: {error}") from error
    if not callable(function):
        raise ConfigurationError(f"handlers.{name}.python: {path} cannot be called")
    return function  # type: ignore[no-any-return]


def _secret(name: str, handler: Handler) -> Secret | None:
    """What signs, from the configuration or its file. ConfigurationError when the file holds none."""
    if handler.secret_file is None:
        return handler.secret
    try:
        return parse_webhook_secret(Secret(handler.secret_file.read_text("utf-8").partition("\n")[0].strip()))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"handlers.{name}.secret_file: {handler.secret_file} cannot be used: {getattr(error, 'strerror', None) or error}"
        ) from error
