"""Wait for what another process is about to do."""

import time


def wait_for(what, timeout: float = 30.0, every: float = 0.05):  # type: ignore[no-untyped-def]
    """The first true value that `what()` gives; the last one when `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    while True:
        value = what()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(every)
