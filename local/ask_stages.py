"""Whether every stage of this machine is up: asked in the background, so that /readyz answers at once."""

import asyncio

import httpx

from contracts.settings import Settings
from local.up import stage_health

INTERVAL = 0.5  # seconds


class StageHealth:
    """The other stages' /readyz, asked again and again."""

    def __init__(self, settings: Settings) -> None:
        self._stages = stage_health(settings)
        self.why_not_ready = "the other stages have not been asked yet"

    async def watch(self, stop: asyncio.Event) -> None:
        """Ask until told to stop."""
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            while not stop.is_set():
                answers = await asyncio.gather(*(self._ask(client, name, url) for name, url in self._stages.items()))
                self.why_not_ready = "; ".join(answer for answer in answers if answer)
                try:
                    await asyncio.wait_for(stop.wait(), INTERVAL)
                except TimeoutError:
                    continue

    async def _ask(self, client: httpx.AsyncClient, name: str, url: str) -> str:
        try:
            response = await client.get(url)
        except httpx.HTTPError as error:
            return f"{name}: {type(error).__name__}"
        return "" if response.status_code == 200 else f"{name}: {response.text.strip()[:200]}"
