"""Ask a stage whether it is ready. Never raises: an answer that does not come is a reason why not."""

import asyncio
import http.client
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from local.process import Ready

TIMEOUT = 2.0  # seconds

# No proxy of the environment stands between us and our own processes.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


async def why_not_ready(ready: Ready) -> str | None:
    """None when ready, else the reason."""
    if ready is None:
        return None
    if callable(ready):
        try:
            return None if await asyncio.to_thread(ready) else "does not answer yet"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    if ready.startswith("tcp://"):
        return await _why_not_accepting(ready)
    return await asyncio.to_thread(_why_not_200, ready)


async def _why_not_accepting(url: str) -> str | None:
    address = urlsplit(url)
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(address.hostname, address.port)
    except (OSError, TimeoutError):
        return f"{url} does not accept connections"
    writer.close()
    return None


def _why_not_200(url: str) -> str | None:
    try:
        with _opener.open(url, timeout=TIMEOUT) as answer:
            return None if answer.status == 200 else f"{url} answers {answer.status}"
    except urllib.error.HTTPError as error:
        body = error.read(200).decode("utf-8", "replace").strip()
        return f"{url} answers {error.code} {body}".rstrip()
    except (OSError, http.client.HTTPException, ValueError):
        return f"{url} does not answer"
