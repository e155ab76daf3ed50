"""A handler that is a Python function, and that one mail kills, with the process that it runs in."""

import os
import signal
from typing import Any


def handle(mail: dict[str, Any]) -> dict[str, str]:
    """Take every mail but one."""
    if mail["subject"] == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"status": "processed", "reference": mail["subject"]}
