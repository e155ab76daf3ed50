"""Ending a process that cannot do its work any more; whoever supervises it starts it anew."""

import logging
import os
import threading
from typing import NoReturn

EX_UNAVAILABLE = 69  # sysexits.h: a dependency does not answer; started again it may
EX_SOFTWARE = 70  # a bug, or a client that broke for good: started again it may work
EX_CONFIG = 78  # starting again does not help

_log = logging.getLogger("mailscope")
_once = threading.Lock()


def end_process(why: str, error: BaseException | None = None) -> NoReturn:
    """End at once, from whatever thread, with code 70. What is not committed is done again after the restart."""
    with _once:
        _log.critical("this process ends and must be started anew: %s", why, exc_info=error)
        logging.shutdown()
        os._exit(EX_SOFTWARE)
