"""An event loop in a thread of its own, for servers that must answer while a test waits."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs until `stop()`, which leaves no task and no open connection."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run this in the loop and return what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def stop(self, stop_server: Callable[[], None]) -> None:
        """Stop the server in its loop, and then the loop."""
        self.run(self._end(stop_server))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self, stop_server: Callable[[], None]) -> None:
        stop_server()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports that are closing tell their sockets so
