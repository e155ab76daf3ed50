"""One format of a log line for every process. Control characters of other people's text are escaped, never printed."""

import logging
import re
import sys
import time

SAY_AGAIN = 30.0  # seconds
REPETITIVE = ("aiokafka", "faust", "mode")  # clients that say the same again and again
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with control characters, line breaks and bidirectional overrides written as escapes."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = f"{moment} {record.levelname} {record.name} {printable(record.getMessage())}"
        if record.exc_info:
            line += "\n" + "\n".join(
                "  " + printable(part) for part in self.formatException(record.exc_info).splitlines()
            )
        return line


class OnceInAWhile(logging.Filter):
    """The same complaint once in `SAY_AGAIN` seconds: a client whose broker is away says it a hundred times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = (record.name, record.msg), time.monotonic()
        if now - self._said.get(key, -SAY_AGAIN) < SAY_AGAIN:
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[key] = now
        return True


def set_up_logging(level: str = "INFO") -> None:
    """Send the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Loggers pass on what their children say without asking their own filters: it is the handler that has to.
    quiet = OnceInAWhile()
    handler.addFilter(lambda record: not record.name.startswith(REPETITIVE) or quiet.filter(record))
    for name in ("mail.log", "aiokafka", "faust", "mode", "httpx", "uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(name).setLevel("WARNING")
