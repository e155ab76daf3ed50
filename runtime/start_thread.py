"""Threads that a process cannot do its work without."""

import threading
from collections.abc import Callable

from runtime.end_process import end_process


def start_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """Run `work` in a daemon thread. An exception of it ends the process: with the thread dead it would stay alive, ready and useless
    (a client that broke for good raises from whatever is called next)."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            end_process(f"the thread '{name}' broke: {error}", error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
